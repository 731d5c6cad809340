"""What Redis does for a request: one script, so that nothing comes between the look and the taking.

Redis's own clock counts. All keys expire, and of one service they are in one slot of a cluster.
"""

from __future__ import annotations

TAKE = """
local limit, waiting, state, address, seen = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local size, period, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bulk, owner, addresses = ARGV[4] == '1', ARGV[5], tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local most = size

local kept = redis.call('HMGET', state, 'paused', 'start', 'started', 'others', 'number')
local paused, start, started = tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
if start > 0 then
  most = math.max(1, math.min(size, math.floor(start + (now - started) / period * size / 10)))
end

redis.call('ZREMRANGEBYSCORE', limit, '-inf', now - period)
local passes = redis.call('ZRANGE', limit, 0, -1, 'WITHSCORES')
local taken, bulky, mine = #passes / 2, {}, 0
for at = 1, #passes, 2 do
  local lane, whose = string.match(passes[at], '^%d+:(%d):(.*)$')
  if lane == '1' then bulky[#bulky + 1] = tonumber(passes[at + 1]) end
  if whose == owner then mine = mine + 1 end
end

local free, wait = most - taken, 0
if free < 1 then wait = tonumber(passes[2 * (taken - most + 1)]) + period - now end
if bulk then
  local left = most - math.min(math.floor(most / 2), math.ceil(most / 25) + taken - #bulky) - #bulky
  if left < 1 then wait = math.max(wait, bulky[1 - left] + period - now) end
  local others = tonumber(kept[4] or 0)
  if others > now then left = 0; wait = math.max(wait, others - now) end
  free = math.min(free, left)
end

redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now)
redis.call('ZREM', waiting, owner)
local others = redis.call('ZCARD', waiting)
if free > 0 and others > 0 then
  local share = math.floor(most / (others + 1)) - mine
  if share < 1 then wait = period / size / 2 end
  free = math.min(free, math.max(share, 0))
end

local address_wait = 0
if addresses > 0 then
  local counts, total, oldest = redis.call('HGETALL', address), 0, now
  for at = 1, #counts, 2 do
    local since = tonumber(counts[at])
    if since <= now - 310 then
      redis.call('HDEL', address, counts[at])
    else
      total = total + tonumber(counts[at + 1])
      oldest = math.min(oldest, since)
    end
  end
  if total >= addresses then address_wait = oldest + 310 - now end
  wait = math.max(wait, address_wait)
  free = math.min(free, addresses - total)
end

if paused > now then free = 0; wait = math.max(wait, paused - now) end

local given = math.max(0, math.min(free, want))
if given > 0 then
  local number = tonumber(kept[5] or 0)
  for each = 1, given do
    redis.call('ZADD', limit, now, string.format('%d:%s:%s', number + each, ARGV[4], owner))
  end
  redis.call('HSET', state, 'number', number + given)
  if not bulk then
    local before = tonumber(kept[4] or 0)
    if before > now then before = now + 0.05 end
    redis.call('HSET', state, 'others', string.format('%.6f', before))
  end
  if addresses > 0 then
    redis.call('HINCRBY', address, math.floor(now / 10) * 10, given)
    redis.call('EXPIRE', address, 320)
  end
else
  wait = math.max(wait, 0.002)
  redis.call('ZADD', waiting, now + wait + 0.05, owner)
  redis.call('EXPIRE', waiting, 320)
  if not bulk then redis.call('HSET', state, 'others', string.format('%.6f', now + wait + 0.05)) end
end
redis.call('EXPIRE', limit, 320)
redis.call('EXPIRE', state, 320)
redis.call('ZADD', seen, now, owner)
redis.call('ZREMRANGEBYSCORE', seen, '-inf', now - 60)
redis.call('EXPIRE', seen, 320)
local function text(seconds) return string.format('%.6f', seconds) end
return {given, text(wait), text(math.max(0, paused - now)), text(address_wait), redis.call('ZCARD', seen)}
"""

PAUSE = """
local state = KEYS[1]
local seconds, size, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', state, 'paused', 'start', 'started')
local paused, start, started = tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
if paused <= now then
  local most = size
  if start > 0 then
    most = math.max(1, math.min(size, math.floor(start + (now - started) / period * size / 10)))
  end
  start = math.max(1, most / 2)
end
local ends = string.format('%.6f', math.max(paused, now + seconds))
redis.call('HSET', state, 'paused', ends, 'started', ends, 'start', start)
redis.call('EXPIRE', state, 320 + math.ceil(seconds))
return 1
"""
