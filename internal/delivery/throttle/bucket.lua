-- The part that both scripts begin with: a bucket is read, brought up to now, and
-- written. Its Go twin is bucket.go; a test holds the two against each other.
-- Times are microseconds of Redis's own clock, so those of the nodes may differ.

local MINUTE, HOUR = 60e6, 3600e6
local LEAST = 1 / 60        -- mails a second: nobody is ever slowed to less, but paused
local RECOVERS = 0.1 / MINUTE
local AHEAD = 30 * MINUTE   -- no mail is put off for longer
local KEEP, KEEP_NEWS = 5 * MINUTE, HOUR

local clock = redis.call('TIME')
local now = clock[1] * 1e6 + clock[2]

-- share is the part of the full rate that holds at a time: a refusal's half, and what came back since.
local function share(b, at)
  return math.min(1, b.factor + math.max(0, at - b.halved) * RECOVERS)
end

-- pace is how many mails a second hold at a time.
local function pace(b, at)
  if b.plain then return b.rate end
  local rate = b.rate * share(b, at)
  if at < b.capped then rate = math.min(rate, b.cap) end
  return math.max(rate, math.min(b.rate, b.cap, LEAST))
end

-- size is how many mails the bucket holds at its present pace, at least one.
local function size(b)
  if b.plain then return b.burst end
  return math.max(1, b.burst * pace(b, now) / b.rate)
end

-- reserve is the part of a bucket that is kept for the urgent: a fifth.
local function reserve(b, urgent)
  local s = size(b)
  if urgent or s < 5 then return 0 end
  return math.floor(s / 5)
end

-- slowed tells whether the bucket is below its full pace.
local function slowed(b)
  return not b.plain and (share(b, now) < 1 or now < b.capped or now < b.paused)
end

-- fresh is a bucket nobody asked yet: plain, for nothing ever slowed it, and nearly empty, so
-- that losing Redis's memory lets no burst through.
local function fresh(rate, burst)
  local b = {plain = true, rate = rate, burst = burst, stamp = now, ahead = 0, factor = 1, halved = 0,
    paused = 0, cap = rate, capped = 0, granted = 0, held = 0, heldat = 0, by = '', said = ''}
  b.tokens = reserve(b) + math.max(1, burst / 10)
  return b
end

-- read gives a bucket up to date. A record has four fields, and ten more where there is
-- news: what most buckets never have is neither written nor read.
local function read(text, rate, burst)
  local b = fresh(rate, burst)
  local tokens, stamp, granted, rest = string.match(text or '', '^([%d.-]+)\t(%d+)\t(%d+)\t[%d.]+\t(.*)$')
  if tokens then
    b.tokens, b.stamp, b.granted = tonumber(tokens), tonumber(stamp), tonumber(granted)
    if rest ~= '' then
      b.plain = false
      local f = {}
      for word in string.gmatch(rest, '([^\t]*)\t') do f[#f + 1] = word end
      b.ahead, b.factor, b.halved, b.paused = tonumber(f[1]), tonumber(f[2]), tonumber(f[3]), tonumber(f[4])
      b.cap, b.capped = tonumber(f[5]), tonumber(f[6])
      b.held, b.heldat, b.by, b.said = tonumber(f[7]), tonumber(f[8]), f[9], f[10]
    end
  end
  local from = math.max(b.stamp, b.paused)
  if now > from then
    b.tokens = b.tokens + (now - from) * math.min(pace(b, from), pace(b, now)) / 1e6
  end
  b.tokens = math.min(b.tokens, size(b))
  b.stamp = math.max(b.stamp, now)
  return b
end

local function write(key, b)
  local text = string.format('%.9f\t%.0f\t%.0f\t%.9f\t', b.tokens, b.stamp, b.granted, b.rate)
  local keep = math.max(KEEP, 2 * (size(b) - b.tokens) / pace(b, now) * 1e6)
  if b.held > 0 or slowed(b) then
    text = text .. string.format('%.0f\t%.9f\t%.0f\t%.0f\t%.9f\t%.0f\t%.0f\t%.0f\t%s\t%s\t',
      b.ahead, b.factor, b.halved, b.paused, b.cap, b.capped, b.held, b.heldat, b.by, b.said)
    keep = math.max(keep, KEEP_NEWS + math.max(0, b.ahead - now, b.paused - now, b.capped - now))
  end
  redis.call('SET', key, text, 'PX', string.format('%.0f', keep / 1000))
end

-- list enters the bucket among those that have news, for Held.
local function list(index, key)
  redis.call('ZADD', index, string.format('%.0f', now), key)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('%.0f', now - 6 * HOUR))
end
