-- Reads a page of messages. ARGV: reader or '', the seq before which, how many before it and how many from it on, of
-- how many bytes of content on each side. Answers epoch, oldest, head, 1 where there are older ones, and the messages
-- before (newest first) and after; or nothing.

local room = readable(ARGV[1])
if not room then
  return false
end
local oldest, head = tonumber(room[2]), tonumber(room[3])
local before = math.max(oldest, math.min(tonumber(ARGV[2]), head + 1))
local older, newer, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function message(seq)
  local id = text(seq) .. '-0'
  local entry = redis.call('XRANGE', log_key, id, id)[1]
  if entry then
    return entry[2][2], entry[2][4]
  end
  return tombstone(seq)
end

-- The first of these, and whether any are left over.
local function fitting(entries, limit)
  local events, taken = {}, 0
  for _, entry in ipairs(entries) do
    local seq = seq_of(entry)
    local e, c = message(seq)
    taken = taken + (c and #c or 0)
    if #events >= limit or taken > bytes and #events > 0 then
      return events, 1
    end
    events[#events + 1] = { text(seq), e, c or false }
  end
  return events, 0
end

-- One more than asked for shows whether there is more.
local first, last = text(oldest) .. '-0', text(before - 1) .. '-0'
local past, more = fitting(redis.call('XREVRANGE', messages_key, last, first, 'COUNT', text(older + 1)), older)
local rest = {}
if newer > 0 then
  rest = fitting(redis.call('XRANGE', messages_key, text(before) .. '-0', '+', 'COUNT', text(newer)), newer)
end
return { room[1], room[2], room[3], more, past, rest }
