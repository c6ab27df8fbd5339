-- Appends what waits for one room: each event gets its seq, and its effect comes to pass with it. Nobody sees
-- a part of it, since Redis runs a script at once; what is announced is what will be read. An error takes nothing back.
--
-- KEYS: the room's hash. ARGV: the epoch that the node knows, or ''; what ends the names of channels; then of each
-- event nine:
-- head, content or '', '1' for a message, author, txn_id or '', right, least rank, author's rank, effect as JSON or ''.
-- Answers {status, epoch, outcomes, header}: an outcome is a seq, below zero where it was taken before, or words.

local room_key = KEYS[1]
local prefix = string.sub(room_key, 1, -5)
local log_key, gone_key, messages_key = prefix .. 'log', prefix .. 'gone', prefix .. 'messages'
local members_key, roles_key, reads_key = prefix .. 'members', prefix .. 'roles', prefix .. 'reads'
local mentions_key, authors_key = prefix .. 'mentions', prefix .. 'authors'
local RANKS = { member = 1, moderator = 2, owner = 3 }

local room = {}
local fields = redis.call('HGETALL', room_key)
for i = 1, #fields, 2 do
  room[fields[i]] = fields[i + 1]
end
if not room.epoch then
  return { 'noroom', '', {}, '' }
end
if ARGV[1] ~= '' and ARGV[1] ~= room.epoch then
  return { 'epoch', room.epoch, {}, '' }
end

local first = tonumber(room.head) + 1
local head = first - 1
local header = { epoch = room.epoch, first = first }
local lines = {}
local ended, emptied, dirty, deleted = {}, {}, false, false

local function text(seq)
  return string.format('%d', seq)
end

local function mention_of(user, seq)
  return string.format('%s %020d', user, seq)
end

-- It is there as long as this user waits in slow mode.
local function slow_key(user)
  return prefix .. 'slow:' .. user
end

-- Why not; or how many milliseconds the author waits once they have written, if any.
local function refusal(author, right, least, rank)
  local open, slow = room.kind == 'public', 1000 * tonumber(room.slow_seconds or 0)
  if right == '' then
    return nil
  elseif right == 'write' then
    if room.archived == '1' then
      return 'archived'
    end
    if open and room.announcement ~= '1' and slow == 0 then
      return nil
    end
    least = room.announcement == '1' and RANKS.moderator or RANKS.member
  end
  if redis.call('ZSCORE', members_key, author) then
    rank = math.max(rank, RANKS[redis.call('HGET', roles_key, author) or 'member'])
  elseif not open then
    return 'noroom'
  end
  if rank < least then
    return 'notenough'
  elseif right ~= 'write' or slow == 0 or rank >= RANKS.moderator then
    return nil
  end
  local wait = math.min(redis.call('PTTL', slow_key(author)), slow)
  if wait > 0 then
    return 'slow ' .. text(wait)
  end
  return nil, slow
end

-- The content of an event, its mentions with it.
local function empty(seq)
  local id = text(seq) .. '-0'
  local entry = redis.call('XRANGE', log_key, id, id)[1]
  if not entry or not entry[2][4] then
    return false
  end
  redis.call('HSET', gone_key, text(seq), entry[2][2])
  redis.call('XDEL', log_key, id)
  local message = redis.call('XRANGE', messages_key, id, id)[1]
  for user in string.gmatch(message and message[2][4] or '', '%S+') do
    redis.call('ZREM', mentions_key, mention_of(user, seq))
  end
  if seq >= first then
    lines[2 * (seq - first + 1)] = ''
    emptied[#emptied + 1] = seq
  end
  return true
end

local function set(field, value)
  room[field] = value
  redis.call('HSET', room_key, field, value)
end

local function members_changed()
  redis.call('HINCRBY', room_key, 'rev', 1)
end

local function end_membership(user)
  if redis.call('ZREM', members_key, user) == 0 then
    return
  end
  redis.call('HDEL', roles_key, user)
  redis.call('HDEL', reads_key, user)
  members_changed()
  if room.kind ~= 'public' then
    ended[#ended + 1] = user
  end
end

local function remove_guests(guests)
  for _, user in ipairs(guests or {}) do
    if redis.call('ZREM', members_key, user) == 1 then
      redis.call('HDEL', roles_key, user)
      redis.call('HDEL', reads_key, user)
      ended[#ended + 1] = user
    end
  end
  members_changed()
end

local effects = {}

function effects.mention(effect, seq)
  for _, user in ipairs(effect.users) do
    redis.call('ZADD', mentions_key, 0, mention_of(user, seq))
  end
end

function effects.redact(effect, seq)
  if effect.target < seq and empty(effect.target) then
    header.redacted = true
  end
end

-- However many they are, at once: whoever reads a page after this event must find none of them.
function effects.redact_all(effect, seq)
  for _, written in ipairs(redis.call('HVALS', prefix .. 'by:' .. effect.user)) do
    local id = written .. '-0'
    if tonumber(written) < seq and #redis.call('XRANGE', messages_key, id, id) > 0 then
      empty(tonumber(written))
    end
  end
  header.redacted = true
end

function effects.join(_, seq, author)
  redis.call('ZADD', members_key, 0, author)
  redis.call('HSET', reads_key, author, text(seq))
  members_changed()
end

function effects.member(effect, seq)
  if redis.call('ZADD', members_key, 0, effect.user) == 1 then
    redis.call('HSET', reads_key, effect.user, text(seq - 1))
  end
  if effect.role == 'member' then
    redis.call('HDEL', roles_key, effect.user)
  else
    redis.call('HSET', roles_key, effect.user, effect.role)
  end
  members_changed()
end

function effects.leave(_, _, author)
  end_membership(author)
end

function effects.remove(effect)
  end_membership(effect.user)
end

function effects.change(effect)
  for field, value in pairs(effect.fields) do
    set(field, value)
  end
  if effect.fields.guests == '0' and room.kind == 'private' then
    remove_guests(effect.guests)
  end
  header.changed = true
end

function effects.kind(effect)
  local shut = effect.kind ~= 'public' and room.kind == 'public'
  set('kind', effect.kind)
  if shut then
    header.shut = true
    if room.guests ~= '1' then
      remove_guests(effect.guests)
    end
  end
  header.changed = true
end

-- What its authors sent goes at once, too: in a later room of this id a retry must not find it. Who were members is
-- left for `purge`, which takes the room from their lists.
function effects.delete()
  for _, author in ipairs(redis.call('SMEMBERS', authors_key)) do
    redis.call('UNLINK', prefix .. 'by:' .. author, slow_key(author))
  end
  if redis.call('EXISTS', members_key) == 1 then
    redis.call('RENAME', members_key, prefix .. 'left')
  end
  redis.call('UNLINK', room_key, log_key, gone_key, messages_key, roles_key, reads_key, mentions_key, authors_key,
    prefix .. 'present')
  header.shut, header.deleted, deleted = true, true, true
end

local function append(at)
  local author, txn_id = ARGV[at + 3], ARGV[at + 4]
  if deleted then
    return 'noroom'
  end
  local by_key = prefix .. 'by:' .. author
  local before = txn_id ~= '' and redis.call('HGET', by_key, txn_id)
  if before then
    -- Written once more: it is acknowledged again only by a primary that may write, and WAIT waits for it again.
    redis.call('HSET', by_key, txn_id, before)
    return -tonumber(before)
  end
  local refused, wait = refusal(author, ARGV[at + 5], tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]))
  if refused then
    return refused
  end
  local effect = ARGV[at + 8] ~= '' and cjson.decode(ARGV[at + 8])
  if effect and effect.rev and effect.rev ~= (room.rev or '') then
    return 'moved'
  end
  local seq = head + 1
  local id = text(seq) .. '-0'
  if ARGV[at + 1] == '' then
    redis.call('XADD', log_key, id, 'e', ARGV[at])
  else
    redis.call('XADD', log_key, id, 'e', ARGV[at], 'c', ARGV[at + 1])
  end
  if ARGV[at + 2] == '1' then
    -- Whom it mentions stands beside its author, for when it is redacted.
    local mentioned = effect and effect.type == 'mention' and effect.users or {}
    redis.call('XADD', messages_key, id, 'a', author, 'm', table.concat(mentioned, ' '))
  end
  if wait then
    redis.call('SET', slow_key(author), '', 'PX', text(wait))
  end
  if txn_id ~= '' then
    redis.call('HSET', by_key, txn_id, text(seq))
    redis.call('SADD', authors_key, author)
  end
  head, dirty = seq, true
  lines[#lines + 1] = ARGV[at]
  lines[#lines + 1] = ARGV[at + 1]
  if effect then
    effects[effect.type](effect, seq, author)
    room.rev = redis.call('HGET', room_key, 'rev') or room.rev
  end
  return seq
end

local outcomes = {}
for at = 3, #ARGV, 9 do
  local outcome = append(at)
  outcomes[#outcomes + 1] = outcome
  if outcome == 'moved' then
    break
  end
end
if not dirty then
  return { 'done', room.epoch, outcomes, '' }
end

if not deleted then
  local now = redis.call('TIME')
  local touched = string.format('%d%06d', now[1], now[2])
  redis.call('HSET', room_key, 'head', text(head), 'touched', touched)
end
if header.changed then
  header.changed = room
end
if #ended > 0 then
  header.ended = ended
end
if #emptied > 0 then
  header.emptied = emptied
end
local told = cjson.encode(header)
redis.call('SPUBLISH', prefix .. 'news' .. ARGV[2], told .. '\n' .. table.concat(lines, '\n'))
redis.call('SPUBLISH', prefix .. 'head' .. ARGV[2], '')
return { 'done', room.epoch, outcomes, told }
