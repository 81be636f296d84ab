"""The Lua scripts of the index: each takes in one record, all or nothing.

A *row* is what is known under one request id: ``{answered, mirrored, label}``, each ``false`` until it comes; an
answer is ``{at, arm, value, joined by, sticky}``, a label ``{value, token}``. Where an answer and a label meet, the
one that came second writes its token into the answer: that join is reported to its own sender alone, and again when
the sender repeats the call because the reply was lost. A token is of one entry of the sink and one consumer, so an
entry that another consumer takes in once more joins nothing twice.

Times are microseconds since the epoch. Numbers are Lua's doubles, exact up to 2^53; values and labels are eight
opaque bytes. A Redis that is full refuses a script at its first write that takes memory, before anything has changed.
"""

_COMMON = """
local rows, order, entities, waiting, early = unpack(KEYS)

local function load(id)
  local held = redis.call('HGET', rows, id)
  return held and cmsgpack.unpack(held)
end

local function save(id, row)
  redis.call('HSET', rows, id, cmsgpack.pack(row))
end

-- sorts by entity, then by time
local function member(sticky, at, rest)
  return sticky .. string.format('%016.0f', at) .. rest
end

local function nearest(key, sticky, at, tolerance)
  local here = member(sticky, at, '')
  local to = member(sticky, at + tolerance + 1, '')
  local from = member(sticky, math.max(at - tolerance, 0), '')
  local after = redis.call('ZRANGEBYLEX', key, '[' .. here, '(' .. to, 'LIMIT', 0, 1)[1]
  local before = redis.call('ZREVRANGEBYLEX', key, '(' .. here, '[' .. from, 'LIMIT', 0, 1)[1]
  if not (after and before) then return after or before end
  local is_before = at - tonumber(before:sub(17, 32)) < tonumber(after:sub(17, 32)) - at
  return is_before and before or after
end

local function forget(id, row)
  if row[1] then redis.call('ZREM', entities, member(row[1][5], row[1][1], id)) end
  redis.call('HDEL', rows, id)
end

local function join(row, token)
  local found = {}
  for part = 1, 2 do
    local answer = row[part]
    if answer and answer[4] == '' then answer[4] = token end
    if answer and answer[4] == token then
      found[#found + 1] = answer[2]
      found[#found + 1] = answer[3]
    end
  end
  return found
end

-- a label that waits no longer: 1 where its prediction has not come
local function let_go(entry)
  local kind, rest = entry:sub(17, 17), entry:sub(18)
  if kind == 'e' then return redis.call('ZREM', early, rest) end
  local row = load(rest)
  if not row or row[1] or row[2] then return 0 end
  return redis.call('HDEL', rows, rest)
end
"""

_OF_AN_ENTRY = (
    _COMMON
    + """
local token, now, ttl, tolerance = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local unmatched = 0

local function done(status, label, found)
  return {status, unmatched, label or '', unpack(found or {})}
end
"""
)

PREDICTION = (
    _OF_AN_ENTRY
    + """
local max, id, part, at, sticky = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

-- second chance: what waits for its label goes to the end, the first that does not makes room
local function make_room()
  for _ = 1, 8 do
    local first = redis.call('LPOP', order)
    local row = first and load(first)
    if not row then return true end
    if row[3] or (row[1] or row[2])[1] < now - ttl then
      forget(first, row)
      return true
    end
    redis.call('RPUSH', order, first)
  end
  return false
end

local row = load(id)
local held = row and row[part]
if held then
  if held[1] ~= at then return done('reused') end
  if held[4] == token then return done('joined', row[3][1], join(row, token)) end
  return done('repeated')
end
local is_first = not row or not (row[1] or row[2])
if is_first and redis.call('LLEN', order) >= max and not make_room() then return done('full') end
row = row or {false, false, false}
row[part] = {at, ARGV[10], ARGV[11], '', sticky}
local waited = part == 1 and not row[3] and nearest(early, sticky, at, tolerance)
if waited then row[3] = {waited:sub(33, 40), waited:sub(41)} end
local found = row[3] and join(row, token)
save(id, row)
if is_first then redis.call('RPUSH', order, id) end
if part == 1 then redis.call('ZADD', entities, 0, member(sticky, at, id)) end
if waited then redis.call('ZREM', early, waited) end
if found then return done('joined', row[3][1], found) end
return done('indexed')
"""
)

LABEL = (
    _OF_AN_ENTRY
    + """
local max, id, sticky, at, label = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]

local function wait(entry)
  redis.call('RPUSH', waiting, string.format('%016.0f', now) .. entry)
  if redis.call('LLEN', waiting) > max then unmatched = let_go(redis.call('LPOP', waiting)) end
  return done('early')
end

if id == '' then
  local found = nearest(entities, sticky, at, tolerance)
  if not found and at < now - ttl then return done('late') end
  if not found then
    local entry = member(sticky, at, label .. token)
    if redis.call('ZADD', early, 0, entry) == 0 then return done('early') end
    return wait('e' .. entry)
  end
  id = found:sub(33)
end
local row = load(id)
if row and row[3] then
  if row[3][2] ~= token then return done('duplicates') end
  local found = join(row, token)
  return done(#found > 0 and 'joined' or 'early', row[3][1], found)
end
if not row then
  save(id, {false, false, {label, token}})
  return wait('r' .. id)
end
if (row[1] or row[2])[1] < now - ttl then return done('late') end
row[3] = {label, token}
local found = join(row, token)
save(id, row)
return done('joined', label, found)
"""
)

SWEEP = (
    _COMMON
    + """
local known_before, predicted_before, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local unmatched, expired = 0, 0
for _ = 1, limit do
  local entry = redis.call('LINDEX', waiting, 0)
  if not entry or tonumber(entry:sub(1, 16)) >= known_before then break end
  redis.call('LPOP', waiting)
  unmatched = unmatched + let_go(entry)
end
for _ = 1, limit do
  local id = redis.call('LINDEX', order, 0)
  local row = id and load(id)
  if not id or (row and (row[1] or row[2])[1] >= predicted_before) then break end
  redis.call('LPOP', order)
  if row then
    forget(id, row)
    expired = expired + 1
  end
end
for key = 1, #KEYS do redis.call('EXPIRE', KEYS[key], ARGV[4]) end
return {unmatched, expired}
"""
)
