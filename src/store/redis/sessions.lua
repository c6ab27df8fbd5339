-- Sessions of people, tokens of programs, and links. It stands after people.lua, which says KEYS and ARGV.

function does.add_session(new)
    if not is_user(new.user) then
        return 0
    end
    set_session(new.user, new.session)
    return 1
end

-- The session and its user.
local function session_fields(token)
    local fields = redis.call('HGETALL', key('session:' .. token))
    if #fields == 0 then
        return false
    end
    local user = user_fields(redis.call('HGET', key('session:' .. token), 'user'))
    table.insert(fields, 'token')
    table.insert(fields, token)
    return user and { fields, user }
end

function does.session(asked)
    return session_fields(asked.token)
end

function does.sessions(asked)
    local found = {}
    for _, token in ipairs(redis.call('ZRANGE', key('sessions:' .. asked.user), 0, -1)) do
        local is_program = redis.call('HEXISTS', key('session:' .. token), 'scopes') == 1
        local fields = is_program == asked.programs and session_fields(token)
        if fields then
            table.insert(found, fields)
        end
    end
    return found
end

function does.touch_session(touched)
    local token, seen = touched.token, touched.seen
    local found = redis.call('HMGET', key('session:' .. token), 'user', 'scopes')
    if not found[1] then
        return
    end
    redis.call('HSET', key('session:' .. token), 'seen', seen)
    redis.call('ZADD', key('sessions:' .. found[1]), seen, token)
    if not found[2] then
        redis.call('ZADD', key('sessions'), seen, token)
    end
end

-- `one`: the one of this id, of people or not; `other_than`: those of people but for this token; else those of people,
-- or all.
function does.end_sessions(which)
    local ended = {}
    for _, token in ipairs(redis.call('ZRANGE', key('sessions:' .. which.user), 0, -1)) do
        local found = redis.call('HMGET', key('session:' .. token), 'id', 'scopes')
        local ends
        if which.one then
            ends = found[1] == which.one
        else
            ends = which.all or (not found[2] and token ~= which.other_than)
        end
        if ends then
            end_session(which.user, token)
            table.insert(ended, token)
        end
    end
    free_name(which.user)
    return ended
end

local function is_used_up(used, max_uses)
    return max_uses and tonumber(used) >= tonumber(max_uses)
end

local function drop_link(token)
    local link = key('link:' .. token)
    local found = redis.call('HMGET', link, 'id', 'room')
    redis.call('DEL', link)
    redis.call('HDEL', key('link_ids'), found[1])
    redis.call('ZREM', key('link_ends'), token)
    redis.call('SREM', key('owner_links'), token)
    redis.call('SREM', key('invites'), token)
    if found[2] then
        redis.call('SREM', key('invites:' .. found[2]), token)
    end
end

local function good_link(token, now)
    local found = redis.call('HMGET', key('link:' .. token), 'id', 'used', 'max_uses', 'expires')
    local expires = tonumber(found[4] or nil)
    if not found[1] or is_used_up(found[2], found[3]) or expires and expires <= tonumber(now) then
        return false
    end
    local fields = redis.call('HGETALL', key('link:' .. token))
    table.insert(fields, 'token')
    table.insert(fields, token)
    return fields
end

function does.add_link(link)
    local token, fields = link.token, link.fields
    set_fields(key('link:' .. token), fields)
    redis.call('HSET', key('link_ids'), fields.id, token)
    if fields.kind == 'owner' then
        redis.call('SADD', key('owner_links'), token)
    elseif fields.kind == 'invite' then
        redis.call('SADD', key('invites'), token)
        if fields.room then
            redis.call('SADD', key('invites:' .. fields.room), token)
        end
    end
    if is_used_up(fields.used, fields.max_uses) then
        redis.call('ZADD', key('link_ends'), '-inf', token)
    elseif fields.expires then
        redis.call('ZADD', key('link_ends'), fields.expires, token)
    end
end

function does.link(asked)
    return good_link(asked.token, asked.now)
end

-- The link after its use; false where it was not good.
function does.use_link(asked)
    local token = asked.token
    local link = key('link:' .. token)
    local before = good_link(token, asked.now)
    if not before then
        return false
    end
    local used = redis.call('HINCRBY', link, 'used', 1)
    local found = redis.call('HMGET', link, 'kind', 'max_uses')
    if found[1] == 'owner' then
        -- Each start made one until there was an owner.
        for _, other in ipairs(redis.call('SMEMBERS', key('owner_links'))) do
            if other ~= token then
                drop_link(other)
            end
        end
    end
    if is_used_up(used, found[2]) then
        redis.call('ZADD', key('link_ends'), '-inf', token)
    end
    table.insert(before, 'used')
    table.insert(before, tostring(used))
    return before
end

function does.invites(asked)
    local tokens = redis.call('SMEMBERS', asked.room and key('invites:' .. asked.room) or key('invites'))
    local found = {}
    for _, token in ipairs(tokens) do
        local link = good_link(token, asked.now)
        if link then
            table.insert(found, link)
        end
    end
    return found
end

function does.revoke_link(asked)
    local token = redis.call('HGET', key('link_ids'), asked.id)
    if not token then
        return 0
    end
    drop_link(token)
    return 1
end

-- Ends some of what is over; whether there may be more.
function does.expire(over)
    local function ended(what, before)
        return redis.call('ZRANGEBYSCORE', key(what), '-inf', '(' .. before, 'LIMIT', 0, over.span)
    end
    local sessions, links, names = ended('sessions', over.before), ended('link_ends', over.before), ended('reserved', over.now)
    for _, token in ipairs(sessions) do
        local user = redis.call('HGET', key('session:' .. token), 'user')
        end_session(user, token)
        free_name(user)
    end
    for _, token in ipairs(links) do
        drop_link(token)
    end
    for _, folded in ipairs(names) do
        drop_name(folded)
    end
    return math.max(#sessions, #links, #names) == tonumber(over.span) and 1 or 0
end

return does[ARGV[1]](given(cjson.decode(ARGV[2])))
