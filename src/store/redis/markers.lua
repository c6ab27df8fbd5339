-- Moves read markers. ARGV: of each user three: the user, the seq, and '1' where the marker moves forward only.

for at = 1, #ARGV, 3 do
  local user, seq = ARGV[at], ARGV[at + 1]
  if redis.call('ZSCORE', members_key, user) then
    local read = redis.call('HGET', reads_key, user) or '0'
    if ARGV[at + 2] ~= '1' or tonumber(seq) > tonumber(read) then
      redis.call('HSET', reads_key, user, seq)
    end
  end
end
