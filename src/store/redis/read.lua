-- Reads on in a room's log. ARGV: reader or '', the seq after which, how many events at most, of how many bytes of
-- content. Answers epoch, oldest, head and the events, or nothing.

local room = readable(ARGV[1])
if not room then
  return false
end
local seq, head = math.max(tonumber(ARGV[2]) + 1, tonumber(room[2])), tonumber(room[3])
local limit, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local events, taken = {}, 0

-- False where the event does not fit any more.
local function take(e, c)
  taken = taken + (c and #c or 0)
  if #events >= limit or taken > bytes and #events > 0 then
    return false
  end
  events[#events + 1] = { text(seq), e, c or false }
  seq = seq + 1
  return true
end

local function take_redacted(last)
  while seq <= last do
    if not take(tombstone(seq)) then
      return false
    end
  end
  return true
end

local function take_entries()
  while seq <= head and #events < limit do
    local entries = redis.call('XRANGE', log_key, text(seq) .. '-0', '+', 'COUNT', math.min(100, limit - #events))
    for _, entry in ipairs(entries) do
      if not take_redacted(seq_of(entry) - 1) or not take(entry[2][2], entry[2][4]) then
        return
      end
    end
    if #entries == 0 then
      take_redacted(head)
      return
    end
  end
end

take_entries()
return { room[1], room[2], room[3], events }
