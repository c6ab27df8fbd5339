-- People: who they are, how they prove it, their pictures. It stands after people.lua, which says KEYS and ARGV.

local function find_email(address)
    return redis.call('SMEMBERS', key('email:' .. string.lower(address)))
end

-- E-mails are found of accounts alone.
local function list_email(id)
    local found = redis.call('HMGET', key('user:' .. id), 'email', 'role')
    if found[1] and found[2] ~= 'guest' then
        redis.call('SADD', key('email:' .. string.lower(found[1])), id)
    end
end

local function unlist_email(id)
    local address = redis.call('HGET', key('user:' .. id), 'email')
    if address then
        redis.call('SREM', key('email:' .. string.lower(address)), id)
    end
end

-- A verified address is no other account's any more, where it was not verified there.
local function take_email(id)
    local found = redis.call('HMGET', key('user:' .. id), 'email', 'email_verified')
    if not found[1] or found[2] ~= '1' then
        return
    end
    for _, other in ipairs(find_email(found[1])) do
        if other ~= id and redis.call('HGET', key('user:' .. other), 'email_verified') ~= '1' then
            unlist_email(other)
            redis.call('HDEL', key('user:' .. other), 'email')
        end
    end
end

local function set_secrets(id, secrets)
    local hash, codes = key('secrets:' .. id), key('codes:' .. id)
    redis.call('HDEL', hash, 'password', 'totp')
    set_fields(hash, secrets.fields)
    redis.call('HSETNX', hash, 'step', '0')
    redis.call('DEL', codes)
    for _, code in ipairs(secrets.recovery) do
        redis.call('SADD', codes, code)
    end
end

-- False where the name is taken, else what is to be joined still, if anything: "SEQ ROOM".
function does.add_user(user)
    local id, record = user.id, user.record
    local hash = key('user:' .. id)
    if is_user(id) then
        return redis.call('HGET', hash, 'joining') or ''
    end
    local claims = user.session or record.role ~= 'guest'
    if claims then
        if is_taken(id, record, user.expired_before, user.now) then
            return false
        end
        take_name(id, record)
    end
    set_fields(hash, record)
    list_email(id)
    if user.session then
        set_session(id, user.session)
    end
    if user.secrets then
        set_secrets(id, user.secrets)
    end
    redis.call('SADD', key('joined:' .. id), user.room)
    local joining = user.read .. ' ' .. user.room
    redis.call('HSET', hash, 'joining', joining)
    return joining
end

-- The user as they are now; the name where it is taken; false where there is no such user.
function does.change_user(change)
    local id, set = change.id, change.set
    local hash = key('user:' .. id)
    if not is_user(id) then
        return false
    end
    local was = redis.call('HMGET', hash, 'name', 'folded', 'skeleton', 'role')
    local record = { folded = set.folded or was[2], skeleton = set.skeleton or was[3], role = set.role or was[4] }
    -- Whoever keeps their name keeps it, whatever others are called by now: they must be muted all the same.
    if (set.name or set.role) and (record.role ~= 'guest' or has_session(id)) then
        if is_taken(id, record, change.expired_before, change.now) then
            return set.name or was[1]
        end
        give_up_names(id, record.folded, change.reserved_until)
        take_name(id, record)
    end
    unlist_email(id)
    for _, field in ipairs(change.unset) do
        redis.call('HDEL', hash, field)
    end
    set_fields(hash, set)
    list_email(id)
    take_email(id)
    return user_fields(id)
end

-- The next names in their order: those whose name holds the query, and after which name to go on, if there may be more.
function does.users(page)
    local from = page.after and '(' .. page.after or '-'
    local names = redis.call('ZRANGEBYLEX', key('names'), from, '+', 'LIMIT', 0, page.span)
    local found = {}
    for _, folded in ipairs(names) do
        local user = user_fields(redis.call('HGET', key('name:' .. folded), 'user'))
        local name = user and redis.call('HGET', key('user:' .. user[#user]), 'name')
        if name and string.find(string.lower(name), page.query, 1, true) then
            table.insert(found, user)
        end
        if #found == tonumber(page.limit) then
            return { folded, found }
        end
    end
    return { #names == tonumber(page.span) and names[#names], found }
end

-- For each of the names who holds it, or false.
function does.holders(asked)
    local holders = {}
    for place, folded in ipairs(asked.folded) do
        local held = holder(folded)
        if held and holds(held, asked.expired_before, asked.now) then
            holders[place] = held.user
        else
            holders[place] = redis.call('HGET', key('looks'), folded)
        end
    end
    return holders
end

local function with_secrets(id)
    return {
        user_fields(id) or {},
        redis.call('HGETALL', key('secrets:' .. id)),
        redis.call('SMEMBERS', key('codes:' .. id)),
    }
end

-- One that nobody has verified may be several people's: then it is nobody's.
local function account_by_email(address)
    local found = find_email(address)
    for _, id in ipairs(found) do
        if redis.call('HGET', key('user:' .. id), 'email_verified') == '1' then
            return id
        end
    end
    return #found == 1 and found[1]
end

function does.account(login)
    local held = holder(login.folded)
    local id = held and held.skeleton and held.user or account_by_email(login.email)
    return id and with_secrets(id)
end

function does.secrets(asked)
    return with_secrets(asked.id)
end

function does.set_secrets(new)
    set_secrets(new.id, new.secrets)
end

function does.use_step(used)
    local hash = key('secrets:' .. used.id)
    local last = redis.call('HGET', hash, 'step')
    if not last or tonumber(last) >= tonumber(used.step) then
        return 0
    end
    redis.call('HSET', hash, 'step', used.step)
    return 1
end

local function untie(id, issuer)
    local subject = redis.call('HGET', key('identities:' .. id), issuer)
    if subject then
        redis.call('HDEL', key('identities:' .. id), issuer)
        redis.call('HDEL', key('subjects:' .. issuer), subject)
    end
end

function does.set_identity(new)
    local id, issuer, subject = new.id, new.issuer, new.subject
    local subjects = key('subjects:' .. issuer)
    if not subject then
        untie(id, issuer)
        return 1
    end
    local tied = redis.call('HGET', subjects, subject)
    if tied and tied ~= id then
        return 0
    end
    untie(id, issuer)
    redis.call('HSET', subjects, subject, id)
    redis.call('HSET', key('identities:' .. id), issuer, subject)
    return 1
end

-- The rooms of which they may have been a member, and whether there was such a user.
function does.delete_user(gone)
    local id = gone.id
    local there = is_user(id)
    local rooms = redis.call('SMEMBERS', key('joined:' .. id))
    for _, folded in ipairs(redis.call('SMEMBERS', key('names:' .. id))) do
        drop_name(folded)
    end
    forget_sessions(id)
    for _, issuer in ipairs(redis.call('HKEYS', key('identities:' .. id))) do
        untie(id, issuer)
    end
    for _, other in ipairs(redis.call('SMEMBERS', key('ignored:' .. id))) do
        redis.call('SREM', key('ignoring:' .. other), id)
    end
    for _, other in ipairs(redis.call('SMEMBERS', key('ignoring:' .. id))) do
        redis.call('SREM', key('ignored:' .. other), id)
    end
    unlist_email(id)
    for _, what in ipairs({ 'user', 'secrets', 'codes', 'ignored', 'ignoring', 'joined', 'pictures' }) do
        redis.call('DEL', key(what .. ':' .. id))
    end
    return { there and 1 or 0, rooms }
end

-- The one of the first source that has one, "0" to "2": the source, its kind, its time, its bytes.
function does.picture(asked)
    local pictures = key('pictures:' .. asked.id)
    for source = 0, 2 do
        local found = redis.call('HMGET', pictures, source .. ':kind', source .. ':at', source .. ':bytes')
        if found[1] then
            return { source, found[1], found[2], found[3] }
        end
    end
    return false
end

function does.set_picture(new)
    local hash, pictures = key('user:' .. new.id), key('pictures:' .. new.id)
    local kind, at, bytes = new.source .. ':kind', new.source .. ':at', new.source .. ':bytes'
    if new.kind then
        redis.call('HSET', pictures, kind, new.kind, at, new.at, bytes, ARGV[3])
    else
        redis.call('HDEL', pictures, kind, at, bytes)
    end
    if is_user(new.id) then
        redis.call('HINCRBY', hash, 'picture', 1)
    end
end

return does[ARGV[1]](given(cjson.decode(ARGV[2])))
