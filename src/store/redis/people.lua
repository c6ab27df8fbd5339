-- Users, the names that they hold, and the sessions by which guests hold them: what accounts.lua and sessions.lua
-- share. This stands before either of them, and whose a name is, is decided here alone. The keys are told at the head
-- of accounts.rs. KEYS: 1 what all keys under {chinwag} begin with. ARGV: 1 what is done, by its name in `does`; 2
-- its arguments, a JSON object of texts; 3 bytes, where there are some.

local does = {}

local function key(what)
    return KEYS[1] .. what
end

-- An argument that is null is not given.
local function given(arguments)
    for name, value in pairs(arguments) do
        if value == cjson.null then
            arguments[name] = nil
        elseif type(value) == 'table' then
            given(value)
        end
    end
    return arguments
end

local function set_fields(hash, fields)
    for field, value in pairs(fields) do
        redis.call('HSET', hash, field, value)
    end
end

local function is_user(id)
    return redis.call('EXISTS', key('user:' .. id)) == 1
end

-- The fields of a user, and the id first; false where there is none.
local function user_fields(id)
    local fields = redis.call('HGETALL', key('user:' .. id))
    if #fields == 0 then
        return false
    end
    table.insert(fields, 'id')
    table.insert(fields, id)
    return fields
end

local function set_session(user, session)
    local token, fields = session.token, session.fields
    fields.user = user
    set_fields(key('session:' .. token), fields)
    redis.call('ZADD', key('sessions:' .. user), fields.seen, token)
    if not fields.scopes then
        redis.call('ZADD', key('sessions'), fields.seen, token)
    end
end

local function end_session(user, token)
    redis.call('DEL', key('session:' .. token))
    redis.call('ZREM', key('sessions:' .. user), token)
    redis.call('ZREM', key('sessions'), token)
end

local function forget_sessions(user)
    for _, token in ipairs(redis.call('ZRANGE', key('sessions:' .. user), 0, -1)) do
        end_session(user, token)
    end
end

local function has_session(user)
    return redis.call('EXISTS', key('sessions:' .. user)) == 1
end

local function holder(folded)
    local found = redis.call('HMGET', key('name:' .. folded), 'user', 'skeleton', 'reserved_until')
    return found[1] and { user = found[1], skeleton = found[2], reserved_until = found[3] }
end

-- By an account, by a reservation, or by a session seen since then.
local function holds(held, expired_before, now)
    if held.reserved_until then
        return tonumber(held.reserved_until) > tonumber(now)
    elseif held.skeleton then
        return true
    end
    local newest = redis.call('ZREVRANGE', key('sessions:' .. held.user), 0, 0, 'WITHSCORES')
    return #newest > 0 and tonumber(newest[2]) >= tonumber(expired_before)
end

local function is_taken(id, record, expired_before, now)
    local alike = redis.call('HGET', key('looks'), record.skeleton)
    if alike and alike ~= id then
        return true
    end
    local held = holder(record.folded)
    return held and held.user ~= id and holds(held, expired_before, now)
end

local function drop_name(folded)
    local held = holder(folded)
    if not held then
        return
    end
    if held.skeleton then
        redis.call('HDEL', key('looks'), held.skeleton)
    end
    redis.call('DEL', key('name:' .. folded))
    redis.call('SREM', key('names:' .. held.user), folded)
    redis.call('ZREM', key('names'), folded)
    redis.call('ZREM', key('reserved'), folded)
end

-- The user holds their name from here on. It is not taken, and what they held before is given up.
local function take_name(id, record)
    local folded = record.folded
    local held = holder(folded)
    -- Whose reservation has ended goes by another name by now.
    if held and held.user ~= id and not held.reserved_until then
        forget_sessions(held.user)
    end
    drop_name(folded)
    redis.call('HSET', key('name:' .. folded), 'user', id)
    redis.call('SADD', key('names:' .. id), folded)
    redis.call('ZADD', key('names'), 0, folded)
    if record.role ~= 'guest' then
        redis.call('HSET', key('name:' .. folded), 'skeleton', record.skeleton)
        redis.call('HSET', key('looks'), record.skeleton, id)
    end
end

-- Names that the user has held until now, but for this one.
local function give_up_names(id, kept, reserved_until)
    for _, folded in ipairs(redis.call('SMEMBERS', key('names:' .. id))) do
        local held = holder(folded)
        if folded ~= kept and not held.reserved_until then
            drop_name(folded)
            if reserved_until then
                redis.call('HSET', key('name:' .. folded), 'user', id, 'reserved_until', reserved_until)
                redis.call('SADD', key('names:' .. id), folded)
                redis.call('ZADD', key('reserved'), reserved_until, folded)
            end
        end
    end
end

-- Guests hold their name by their sessions.
local function free_name(user)
    if has_session(user) then
        return
    end
    for _, folded in ipairs(redis.call('SMEMBERS', key('names:' .. user))) do
        local held = holder(folded)
        if not held.skeleton and not held.reserved_until then
            drop_name(folded)
        end
    end
end
