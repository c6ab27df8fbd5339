-- What the scripts that read a room have in common; it stands before each of them. KEYS: the room's hash.
-- A seq is a double in Lua, exact up to 2^53, and is written without an exponent. An epoch stays text.

local prefix = string.sub(KEYS[1], 1, -5)
local log_key, gone_key, messages_key = prefix .. 'log', prefix .. 'gone', prefix .. 'messages'
local members_key, roles_key, reads_key = prefix .. 'members', prefix .. 'roles', prefix .. 'reads'

local function text(seq)
  return string.format('%.0f', seq)
end

local function seq_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

-- Epoch, oldest and head, where there is a room that the reader may read.
local function readable(reader)
  local room = redis.call('HMGET', KEYS[1], 'epoch', 'oldest', 'head', 'kind')
  if not room[1] then
    return nil
  elseif room[4] == 'public' or reader ~= '' and redis.call('ZSCORE', members_key, reader) then
    return room
  end
  return nil
end

-- What is left of an event that is no entry any more.
local function tombstone(seq)
  local e = redis.call('HGET', gone_key, text(seq))
  if not e then
    error('event ' .. text(seq) .. ' of ' .. log_key .. ' is missing, and was not redacted')
  end
  return e
end

-- Messages by others after the seq, and mentions of the user.
local function unread(user, after, head, cap, reach)
  if after >= head then
    return 0, 0
  end
  local messages, looked = 0, 0
  local from = text(after + 1) .. '-0'
  while messages < cap and looked < reach do
    local entries = redis.call('XRANGE', messages_key, from, '+', 'COUNT', math.min(100, reach - looked))
    for _, entry in ipairs(entries) do
      if messages < cap and entry[2][2] ~= user then
        messages = messages + 1
      end
    end
    if #entries == 0 then
      break
    end
    looked = looked + #entries
    from = '(' .. entries[#entries][1]
  end
  local first, last = string.format('(%s %020.0f', user, after), '[' .. user .. ' 99999999999999999999'
  return messages, math.min(cap, redis.call('ZLEXCOUNT', prefix .. 'mentions', first, last))
end

