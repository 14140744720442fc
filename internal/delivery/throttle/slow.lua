-- KEYS: the bucket, the index, the counter of the rule. ARGV: rate, burst, effect (pause, slow
-- or halve), how often it must be said within an hour, for how many microseconds, mails a
-- second, the server's words. Answers 1 where the pace changed.

local times = tonumber(ARGV[4])
if times > 1 then
  local said = redis.call('INCR', KEYS[3])
  if said == 1 then redis.call('PEXPIRE', KEYS[3], 3600000) end
  if said < times then return 0 end
end

local key, effect, length = KEYS[1], ARGV[3], tonumber(ARGV[5])
local b = read(redis.call('GET', key), tonumber(ARGV[1]), tonumber(ARGV[2]))
b.plain = false
if effect == 'halve' then
  if now - b.halved < MINUTE then return 0 end
  local half = math.max(share(b, now) / 2, math.min(1, LEAST / b.rate))
  if half >= share(b, now) then return 0 end -- it cannot be slower
  b.factor, b.halved = half, now
else -- afterwards the pace begins at half
  local till = now + length
  if effect == 'pause' then
    b.paused = math.max(b.paused, till)
  else
    if now < b.capped then b.cap = math.min(b.cap, tonumber(ARGV[6])) else b.cap = tonumber(ARGV[6]) end
    b.capped = math.max(b.capped, till)
  end
  b.factor, b.halved = math.min(share(b, now), 0.5), math.max(b.halved, till)
end
b.tokens, b.said = math.min(b.tokens, 1), ARGV[7]
write(key, b)
list(KEYS[2], key)
return 1
