-- KEYS: the buckets, then the index. ARGV: how many buckets; for each its rate, burst, and
-- flags (1: throw away what it holds; 2: it limits nothing while it has no record, for
-- another bucket of each of its wants is as strict); how many wants; for each its number of
-- mails (negative: given back), its kind (1 urgent, 2 up to, 3 both), how many limits,
-- and which.
-- Answers for each want: granted, wait, gap, the number of the limit that held (0: none),
-- slowed; then for each bucket its pace in millionths of a mail a second, and how long it
-- still pauses. Times in microseconds.

local at = 1
local function arg()
  at = at + 1
  return tonumber(ARGV[at - 1])
end

local count = arg()
local index = KEYS[count + 1]
local names = {}
for i = 1, count do names[i] = KEYS[i] end
local texts = redis.call('MGET', unpack(names))
local buckets = {}
for i = 1, count do
  local rate, burst, flags = arg(), arg(), arg()
  if texts[i] or flags < 2 then
    buckets[i] = read(texts[i], rate, burst)
    if flags % 2 == 1 then buckets[i].tokens = math.min(buckets[i].tokens, 0) end
  else
    buckets[i] = fresh(rate, burst)
    buckets[i].tokens, buckets[i].free = burst, true
  end
end

-- room is how many mails a bucket lets out now.
local function room(b, urgent)
  if b.free then return math.huge end
  if now < b.paused then return 0 end
  return math.max(0, math.floor(b.tokens - reserve(b, urgent) + 1e-6))
end
local function wait(b, urgent)
  if b.free then return 0 end
  if now < b.paused then return b.paused - now end
  return math.max(0, 1 + reserve(b, urgent) - b.tokens) / pace(b, now) * 1e6
end

-- hold gives the mails that must wait their times, one after the other behind those
-- that wait already.
local function hold(limits, by, n, longest)
  local b = buckets[by]
  local first = math.max(now + longest, b.ahead)
  if first > now + math.max(longest, AHEAD) then first = now + math.max(longest, AHEAD / 2) end
  local gap = 1e6 / pace(b, now)
  b.ahead = first + math.min(n * gap, AHEAD)
  b.held, b.heldat, b.by = b.held + n, now, ''
  list(index, names[by])
  if limits[1] ~= by then
    local subject = buckets[limits[1]]
    subject.held, subject.heldat, subject.by, subject.free = subject.held + n, now, names[by], false
    list(index, names[limits[1]])
  end
  return first - now, gap
end

local answer = {}
local function say(n) answer[#answer + 1] = math.floor(n + 0.5) end

for _ = 1, arg() do
  local n, kind, limits = arg(), arg(), {}
  for i = 1, arg() do limits[i] = arg() end
  local urgent = kind == 1 or kind == 3
  local granted = n
  if n > 0 then
    for _, i in ipairs(limits) do granted = math.min(granted, room(buckets[i], urgent)) end
  end
  local longest, by, gap, below = 0, 0, 0, 0
  for _, i in ipairs(limits) do
    local b = buckets[i]
    b.tokens = math.min(size(b), b.tokens - granted)
    b.granted = b.granted + granted
    if slowed(b) then below = 1 end
  end
  if granted < n then
    for _, i in ipairs(limits) do
      local w = wait(buckets[i], urgent)
      if by == 0 or w > longest + 1000 then longest, by = w, i end -- of two alike the first
    end
    gap = 1e6 / pace(buckets[by], now)
    if kind < 2 then
      longest, gap = hold(limits, by, n - granted, longest)
    elseif granted == 0 then -- it keeps whoever asked waiting, and reserves no turns
      local b = buckets[by]
      b.held, b.heldat, b.by = b.held + 1, now, ''
      list(index, names[by])
    end
  end
  say(granted) say(longest) say(gap) say(by) say(below)
end

for i = 1, count do
  if not buckets[i].free then write(names[i], buckets[i]) end
  say(pace(buckets[i], now) * 1e6) say(math.max(0, buckets[i].paused - now))
end
return answer
