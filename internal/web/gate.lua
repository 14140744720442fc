-- KEYS: buckets. ARGV: for each what a thing costs and what the bucket holds, in microseconds;
-- nought holds everything. Answers for each how far from full it is with this thing. Only where
-- no answer is above what its bucket holds was the thing taken.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full, room = {}, true
for i, key in ipairs(KEYS) do
  local cost, holds = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  full[i] = 0
  if holds > 0 then
    full[i] = math.max(0, tonumber(redis.call('GET', key) or '0') - now) + cost
    if full[i] > holds then room = false end
  end
end
if room then
  for i, key in ipairs(KEYS) do
    if full[i] > 0 then
      redis.call('SET', key, string.format('%.0f', now + full[i]), 'PX', string.format('%.0f', math.ceil(full[i] / 1000)))
    end
  end
end
return full
