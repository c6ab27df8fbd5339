-- Makes a room where there is none of this id: 1, or 0. ARGV: its epoch, how many fields, each with its value; then its
-- members, each with their role.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local now = redis.call('TIME')
local touched = string.format('%d%06d', now[1], now[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'oldest', '1', 'head', '0', 'touched', touched)
local members = 3 + 2 * tonumber(ARGV[2])
for at = 3, members - 1, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
for at = members, #ARGV, 2 do
  redis.call('ZADD', members_key, 0, ARGV[at])
  if ARGV[at + 1] ~= 'member' then
    redis.call('HSET', roles_key, ARGV[at], ARGV[at + 1])
  end
end
return 1
