-- A room as one of its members left it. ARGV: user, the cap of what is counted, how many messages are looked at.
-- Answers the room's settings, epoch, oldest, head, role, read marker, unread messages and mentions, and of a direct
-- room the others; or nothing.

if not redis.call('ZSCORE', members_key, ARGV[1]) then
  return false
end
local info = redis.call('HMGET', KEYS[1], 'id', 'name', 'kind', 'topic', 'announcement', 'archived', 'slow_seconds', 'guests')
local position = redis.call('HMGET', KEYS[1], 'epoch', 'oldest', 'head')
local role = redis.call('HGET', roles_key, ARGV[1]) or 'member'
local read = redis.call('HGET', reads_key, ARGV[1]) or '0'
local head = tonumber(position[3])
local messages, mentions = unread(ARGV[1], tonumber(read), head, tonumber(ARGV[2]), tonumber(ARGV[3]))
local others = {}
if info[3] == 'direct' then
  for _, user in ipairs(redis.call('ZRANGE', members_key, 0, -1)) do
    if user ~= ARGV[1] then
      others[#others + 1] = user
    end
  end
end
return { info, position[1], position[2], position[3], role, read, messages, mentions, others }
