-- Order: bans, reports, who ignores whom, the audit log. The keys are told at the head of moderation.rs. KEYS: 1 what
-- all keys under {chinwag} begin with. ARGV: 1 what is done, by its name in `does`; the rest is told there.

local does = {}

local function key(what)
    return KEYS[1] .. what
end

-- Adds an entry whose fields are those of ARGV from there on; its id.
local function enter(stream, first)
    local id = string.format('%.0f', redis.call('INCR', key(stream .. '_id')))
    redis.call('XADD', key(stream), id .. '-0', unpack(ARGV, first))
    return id
end

-- ARGV: 2 the user.
function does.lift_bans()
    local bans = key('bans')
    local all = redis.call('HGETALL', bans)
    for at = 1, #all, 2 do
        if cjson.decode(all[at + 1]).user == ARGV[2] then
            redis.call('HDEL', bans, all[at])
        end
    end
end

-- ARGV: 2 what is reported and by whom, and then the fields.
function does.report()
    local reported = key('reported')
    if redis.call('HEXISTS', reported, ARGV[2]) == 0 then
        redis.call('HSET', reported, ARGV[2], enter('reports', 3))
    end
end

-- ARGV: 2 the id. The report's fields, or false.
function does.settle()
    local reports, id = key('reports'), ARGV[2] .. '-0'
    local found = redis.call('XRANGE', reports, id, id)
    if #found == 0 then
        return false
    end
    local fields = found[1][2]
    local report = {}
    for at = 1, #fields, 2 do
        report[fields[at]] = fields[at + 1]
    end
    redis.call('XDEL', reports, id)
    redis.call('HDEL', key('reported'), report.room .. ' ' .. report.seq .. ' ' .. report.by)
    return fields
end

-- ARGV: 2 who, 3 whom, 4 "1" or "0".
function does.ignore()
    local change = ARGV[4] == '1' and 'SADD' or 'SREM'
    redis.call(change, key('ignored:' .. ARGV[2]), ARGV[3])
    redis.call(change, key('ignoring:' .. ARGV[3]), ARGV[2])
end

-- ARGV: 2 and on, the fields.
function does.note()
    enter('audit', 2)
end

return does[ARGV[1]]()
