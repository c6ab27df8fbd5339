-- Counts what is unread. ARGV: user, the seq after which, the cap, how many messages are looked at.

local head = redis.call('HGET', KEYS[1], 'head')
if not head then
  return { 0, 0 }
end
return { unread(ARGV[1], tonumber(ARGV[2]), tonumber(head), tonumber(ARGV[3]), tonumber(ARGV[4])) }
