-- Makes a user a member of a room that they are to be in from their first day, or ends a membership with its user.
-- KEYS: 1 the room's `room`, 2 `members`, 3 `roles`, 4 `reads`. ARGV: 1 the user, 2 up to where they have read; absent
-- where the membership ends. A member stays as they are, and a room that is no more stays so.

local user, read = ARGV[1], ARGV[2]
if redis.call('EXISTS', KEYS[1]) == 0 then
    return
end
if not read then
    if redis.call('ZREM', KEYS[2], user) == 1 then
        redis.call('HDEL', KEYS[3], user)
        redis.call('HDEL', KEYS[4], user)
        redis.call('HINCRBY', KEYS[1], 'rev', 1)
    end
elseif redis.call('ZADD', KEYS[2], 'NX', 0, user) == 1 then
    redis.call('HSET', KEYS[4], user, read)
    redis.call('HINCRBY', KEYS[1], 'rev', 1)
end
