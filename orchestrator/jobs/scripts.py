"""The transitions of a task, as Lua: each happens whole or not at all, whoever is killed meanwhile.

A task that is neither done nor forgotten stands in ``cxr:open`` with the moment at which somebody
should look after it. A worker that has taken it moves that moment ahead as long as it lives; what
:data:`CARE` then finds neither waiting nor looked after is put back into the queue. Time is Redis' own, whatever the
clocks of API and workers say; and if it is set back, moments that lie too far ahead are drawn nearer.
"""

from typing import Final

from orchestrator.audit.trail import AUDIT
from orchestrator.blobs.in_redis import PREFIX
from orchestrator.jobs import keys
from orchestrator.stats.statistics import COUNT

# The names of keys, as the scripts say them.
_NAMES: Final = f"""
local OPEN, HELD, SIZES, OUTBOX = '{keys.OPEN}', '{keys.HELD}', '{keys.SIZES}', '{keys.OUTBOX}'
local TASK, BATCH, BLOB, OUTCOMES = '{keys.TASK}', '{keys.BATCH}', '{PREFIX}', '{keys.OUTCOMES}'
local JOB, RESULTS, INTERMEDIATE = '{keys.RQ_JOB}', '{keys.RQ_RESULTS}', '{keys.RQ_INTERMEDIATE}'
local WORKERS = '{keys.RQ_ALL_WORKERS}' -- of every application in this Redis
"""

PRELUDE: Final = (
    _NAMES
    + AUDIT
    + """
local CALLED_FOR = 600 -- seconds, in which a callback has been tried for the last time
local QUEUE, SCHEDULED, FAILED = KEYS[1], KEYS[2], KEYS[4]
local function tally(what, times)
  redis.call('HINCRBY', OUTCOMES, what, times or 1)
end
local function time()
  local answer = redis.call('TIME')
  return tonumber(answer[1]) + tonumber(answer[2]) / 1000000
end
local function longer(key, ttl)
  if redis.call('TTL', key) < ttl then redis.call('EXPIRE', key, ttl) end
end
-- What is held is found longer than it is counted: what is due stays counted for ever if it isn't found.
local function count_for(ttl)
  longer(SIZES, ttl)
  longer(HELD, redis.call('TTL', SIZES) + 1)
end
local function release(name)
  local size = redis.call('HGET', SIZES, name)
  if size then
    redis.call('HDEL', SIZES, name)
    redis.call('HINCRBY', SIZES, 'total', -tonumber(size))
  end
  redis.call('ZREM', HELD, name)
end
local function hold(name, size, ttl)
  release(name)
  redis.call('HSET', SIZES, name, size)
  redis.call('HINCRBY', SIZES, 'total', size)
  redis.call('ZADD', HELD, time() + ttl, name)
  count_for(ttl)
end
local function open_until(id, seconds)
  redis.call('ZADD', OPEN, time() + seconds, id)
end
-- Keeps what a task is found by, its Idempotency-Key and its batch, longer than its record, whose new TTL this is.
local function follow(id, ttl)
  local found = redis.call('HMGET', TASK .. id, 'once', 'batch')
  if found[1] then longer(found[1], ttl + 1) end -- a second, as Redis rounds what it tells of them
  if found[2] then longer(BATCH .. found[2], ttl + 1) end
end
-- Keeps what a task is made of: one that is being worked on, or tried again, may outlast the time it might wait.
local function keep(id, ttl)
  for _, key in ipairs({TASK .. id, JOB .. id, BLOB .. 'upload-' .. id}) do longer(key, ttl) end
  follow(id, ttl)
  local upload = 'upload-' .. id
  local till = redis.call('ZSCORE', HELD, upload)
  if till then redis.call('ZADD', HELD, math.max(tonumber(till), time() + ttl), upload) end
  longer(OPEN, ttl)
  count_for(ttl)
end
-- Tells whether a task is not forgotten, or one of a batch's.
local function is_left(id)
  if redis.call('EXISTS', TASK .. id) == 1 then return true end
  for _, task in ipairs(redis.call('LRANGE', BATCH .. id, 0, -1)) do
    if redis.call('EXISTS', TASK .. task) == 1 then return true end
  end
  return false
end
-- Returns the name of what a try resulted in; see result_name in blobs/base.py.
local function result_name(id, attempt)
  return 'result-' .. id .. '-' .. attempt
end
-- Takes a task out of whatever RQ would give it to a worker from.
local function unqueue(id)
  redis.call('LREM', QUEUE, 0, id)
  redis.call('ZREM', SCHEDULED, id)
  redis.call('LREM', INTERMEDIATE, 0, id)
end
-- Makes a task that has failed RQ's failed job, whatever becomes of the worker that would say so. Copies of it may be
-- about, as its lease had lapsed: none brings it back, but for an operator, who takes it out of the failed ones.
local function bury(id, ttl)
  unqueue(id)
  local job = JOB .. id
  if redis.call('EXISTS', job) == 0 then return end
  redis.call('HSET', job, 'retries_left', 0)
  redis.call('ZADD', FAILED, time() + ttl, id)
  longer(FAILED, ttl)
end
-- Ends a task unless it has ended; what follows from its end happens in the same moment. One that succeeds says which
-- try has: the results of others are nobody's.
local function finish(id, status, reason, size, ttl, memory, attempt)
  local key = TASK .. id
  local now = redis.call('HGET', key, 'status')
  if not now or now == 'SUCCESS' or now == 'FAILURE' then return 0 end
  redis.call('HSET', key, 'status', status, 'stage', '', 'finished', time(), 'reason', reason,
    'result_until', time() + ttl)
  redis.call('HDEL', key, 'noticed')
  redis.call('ZREM', OPEN, id)
  local callback = redis.call('HEXISTS', key, 'callback') == 1
  local remembered = callback and math.max(ttl + memory, CALLED_FOR) or ttl + memory
  redis.call('EXPIRE', key, remembered)
  follow(id, remembered)
  tally(status == 'SUCCESS' and 'succeeded' or 'failed:' .. cjson.decode(reason).code)
  audit(key, id, status == 'SUCCESS' and 'ok' or cjson.decode(reason).code)
  if status == 'SUCCESS' then
    release('upload-' .. id)
    redis.call('UNLINK', BLOB .. 'upload-' .. id)
    redis.call('HSET', key, 'kept', attempt)
    hold(result_name(id, attempt), size, ttl)
  else
    redis.call('EXPIRE', BLOB .. 'upload-' .. id, ttl)
    local upload = redis.call('HGET', SIZES, 'upload-' .. id)
    if upload then hold('upload-' .. id, upload, ttl) end
    bury(id, ttl)
  end
  if callback then
    redis.call('ZADD', OUTBOX, time(), id)
    longer(OUTBOX, remembered)
  end
  return 1
end
-- Takes a task out of every list of RQ's that may hold it.
local function withdraw(id)
  unqueue(id)
  for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    if string.sub(member, 1, #id + 1) == id .. ':' then redis.call('ZREM', KEYS[3], member) end
  end
end
"""
)

# ARGV: most waiting jobs, most bytes, tasks, bytes, TTL of a task, blobs in Redis (0 or 1),
# value for the idempotency key, its TTL, then per task id and bytes, then per command of RQ's
# its length and its words. KEYS[5]: the first task's record; KEYS[6]: the idempotency key, or none.
# Answers 'accepted', the last task's place in the queue and the moment; or why not.
ACCEPT: Final = (
    PRELUDE
    + """
local most, most_bytes, count, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ttl, in_redis = tonumber(ARGV[5]), ARGV[6] == '1'
if redis.call('EXISTS', KEYS[5]) == 1 then return {'repeated'} end -- the answer to the first try was lost
if KEYS[6] then
  local known = redis.call('GET', KEYS[6])
  if known and is_left(string.sub(known, 1, 36)) then return {'known', known} end
end
local waiting = redis.call('LLEN', QUEUE) + redis.call('ZCARD', SCHEDULED)
if waiting + count > most then return {'jobs', waiting} end
local held = tonumber(redis.call('HGET', SIZES, 'total') or '0')
if held + bytes > most_bytes then return {'bytes', held} end
if in_redis then
  for task = 0, count - 1 do
    if redis.call('EXPIRE', BLOB .. 'upload-' .. ARGV[9 + 2 * task], ttl) == 0 then return {'lost'} end
  end
end
for task = 0, count - 1 do
  hold('upload-' .. ARGV[9 + 2 * task], ARGV[10 + 2 * task], ttl)
  open_until(ARGV[9 + 2 * task], 5)
end
longer(OPEN, ttl)
local at = 9 + 2 * count
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
local created = string.format('%.6f', time())
for task = 0, count - 1 do
  local key = TASK .. ARGV[9 + 2 * task]
  redis.call('HSET', key, 'created', created)
  if KEYS[6] then redis.call('HSET', key, 'once', KEYS[6]) end
end
longer(QUEUE, ttl)
tally('accepted', count)
if KEYS[6] then redis.call('SET', KEYS[6], ARGV[7], 'EX', ARGV[8]) end
return {'accepted', redis.call('LLEN', QUEUE), created}
"""
)

# ARGV: task, seconds, TTL of a task.
LEASE: Final = (
    PRELUDE
    + """
if not redis.call('ZSCORE', OPEN, ARGV[1]) then return 0 end
open_until(ARGV[1], tonumber(ARGV[2]))
keep(ARGV[1], tonumber(ARGV[3]))
redis.call('HDEL', TASK .. ARGV[1], 'noticed')
return 1
"""
)

# ARGV: task, seconds, TTL of a task. Answers the record, or nothing if there is none or it has ended.
# One that has failed starts anew if an operator put it back: RQ has then taken it out of its failed ones.
BEGIN: Final = (
    PRELUDE
    + """
local key = TASK .. ARGV[1]
local status = redis.call('HGET', key, 'status')
if not status or status == 'SUCCESS' then return {} end
if status == 'FAILURE' then
  if redis.call('ZSCORE', FAILED, ARGV[1]) then return {} end
  redis.call('HDEL', key, 'crashes', 'callback_tries', 'result_until', 'finished')
  redis.call('HSET', key, 'put_back', time()) -- it has its time anew, and its tries
  local job = JOB .. ARGV[1]
  local intervals = redis.call('HGET', job, 'retry_intervals') -- one before each
  if intervals then redis.call('HSET', job, 'retries_left', #cjson.decode(intervals)) end
  redis.call('ZREM', OUTBOX, ARGV[1])
end
redis.call('HSET', key, 'status', 'STARTED', 'stage', 'decoding', 'started', time(), 'reason', '')
redis.call('HINCRBY', key, 'attempts', 1)
open_until(ARGV[1], tonumber(ARGV[2]))
keep(ARGV[1], tonumber(ARGV[3]))
return redis.call('HGETALL', key)
"""
)

# ARGV: task, stage.
STAGE: Final = (
    PRELUDE
    + """
if redis.call('HGET', TASK .. ARGV[1], 'status') ~= 'STARTED' then return 0 end
redis.call('HSET', TASK .. ARGV[1], 'stage', ARGV[2])
if redis.call('EXISTS', JOB .. ARGV[1]) == 1 then
  redis.call('HSET', JOB .. ARGV[1], 'meta', cjson.encode({stage = ARGV[2]}))
end
return 1
"""
)

# ARGV: task, name. Answers the name of its pictures in the store, which is the first that was given; nothing if the
# task has ended.
PICTURES: Final = (
    PRELUDE
    + """
local key = TASK .. ARGV[1]
local status = redis.call('HGET', key, 'status')
if not status or status == 'SUCCESS' or status == 'FAILURE' then return nil end
redis.call('HSETNX', key, 'pictures', ARGV[2])
return redis.call('HGET', key, 'pictures')
"""
)

# ARGV: task, status, reason, bytes of the result, TTL of the result, seconds to remember it after; for a task
# that succeeds, the number of the try, and what COUNT takes: counted before, an analysis would stay so if its task
# failed in the end.
FINISH: Final = (
    PRELUDE
    + COUNT
    + """
local ended = finish(
  ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))
if ended == 1 and ARGV[8] then count(8) end
return ended
"""
)

# ARGV: task, reason, crash or time-out (0 or 1), most of them, TTL of the result, seconds to remember it after,
# reason if it is the last, TTL of a task. Answers 1 if the task may be tried again.
RETRY: Final = (
    PRELUDE
    + """
local key = TASK .. ARGV[1]
local status = redis.call('HGET', key, 'status')
if not status or status == 'SUCCESS' or status == 'FAILURE' then return 0 end
if ARGV[3] == '1' and status == 'STARTED' and redis.call('HINCRBY', key, 'crashes', 1) >= tonumber(ARGV[4]) then
  finish(ARGV[1], 'FAILURE', ARGV[7], 0, tonumber(ARGV[5]), tonumber(ARGV[6]))
  return 0
end
redis.call('HSET', key, 'status', 'RETRY', 'stage', '', 'reason', ARGV[2])
tally('retried:' .. cjson.decode(ARGV[2]).code)
open_until(ARGV[1], 5)
keep(ARGV[1], tonumber(ARGV[8]))
return 1
"""
)

# ARGV: task. Answers the status that the task had; a running one stays.
FORGET: Final = (
    PRELUDE
    + """
local id = ARGV[1]
local status = redis.call('HGET', TASK .. id, 'status')
if not status then return '' end
if status == 'STARTED' then return status end
local once = redis.call('HGET', TASK .. id, 'once')
for attempt = 1, tonumber(redis.call('HGET', TASK .. id, 'attempts') or 0) do
  local name = result_name(id, attempt)
  release(name)
  redis.call('UNLINK', BLOB .. name)
end
withdraw(id)
redis.call('ZREM', FAILED, id)
redis.call('ZREM', KEYS[5], id)
redis.call('ZREM', OPEN, id)
redis.call('ZREM', OUTBOX, id)
release('upload-' .. id)
redis.call('UNLINK', TASK .. id, JOB .. id, RESULTS .. id, BLOB .. 'upload-' .. id)
local known = once and redis.call('GET', once) -- its idempotency key, which stands for nothing once nothing is left
if known and not is_left(string.sub(known, 1, 36)) then redis.call('UNLINK', once) end
return status
"""
)

# ARGV: TTL of a task, grace before an orphan is put back, most crashes, TTL of the result, seconds to remember it
# after, reason for waiting too long, reason for too many crashes, reason while tried again, longest wait, reason for
# trying too long, which the last try's is added to, longest pause before a try.
# RQ leaves its registries without a TTL, and the names of workers that were killed: both are seen to here.
CARE: Final = (
    PRELUDE
    + """
local ttl, grace, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local result_ttl, memory = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = time()
local rescued = {}
local function draw_near(key, seconds)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. now + seconds, '+inf', 'LIMIT', 0, 1000)) do
    redis.call('ZADD', key, now + seconds, id)
  end
end
local function requeue(id)
  redis.call('HSET', JOB .. id, 'status', 'queued')
  keep(id, ttl)
  redis.call('LPUSH', QUEUE, id)
  longer(QUEUE, ttl)
end
local function give_up(id, reason)
  local job = JOB .. id
  withdraw(id)
  local status = redis.call('HGET', TASK .. id, 'status')
  if not status then redis.call('UNLINK', job) end -- it is forgotten
  if not status or status == 'SUCCESS' then return end -- or it was a copy
  local ended = finish(id, 'FAILURE', reason, 0, result_ttl, memory) == 1
  if not ended then bury(id, result_ttl) end
  if redis.call('EXISTS', job) == 0 then return end
  redis.call('HSET', job, 'status', 'failed')
  if ended then redis.call('HSET', job, 'meta', cjson.encode({reason = cjson.decode(reason).detail})) end
  redis.call('EXPIRE', job, result_ttl)
end
-- Keeps what a task that waits is made of as long as it may wait by now.
local function keep_waiting(id)
  local key = TASK .. id
  local found = redis.call('HMGET', key, 'put_back', 'created')
  local since = found[1] or found[2]
  local left = since and math.floor(tonumber(since) + ttl - now) -- as its TTL, unless QUEUE_TTL was less
  if left and redis.call('TTL', key) < left then keep(id, left) end
end
-- Tells whether a task has waited too long. One that has failed was put back: it waits while its upload is kept.
local function is_late(id)
  local found = redis.call('HMGET', TASK .. id, 'status', 'result_until', 'put_back', 'created')
  if not found[1] then return true end -- forgotten by age
  if found[1] == 'FAILURE' then return tonumber(found[2] or 0) < now end
  local since = found[3] or found[4]
  return since and tonumber(since) + tonumber(ARGV[9]) < now
end
local function too_late(id)
  local last = redis.call('HGET', TASK .. id, 'reason')
  if not last or last == '' then return ARGV[6] end
  local reason = cjson.decode(ARGV[10])
  reason.detail = reason.detail .. cjson.decode(last).detail
  return cjson.encode(reason)
end
draw_near(SCHEDULED, tonumber(ARGV[11]))
draw_near(OPEN, math.max(60, redis.call('LLEN', QUEUE) / 200))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', SCHEDULED, 0, now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', SCHEDULED, id)
  requeue(id)
end
for _ = 1, 100 do
  local id = redis.call('LINDEX', QUEUE, -1)
  local first = redis.call('LINDEX', QUEUE, 0)
  local old = nil
  for _, each in ipairs({first, id}) do
    if each and is_late(each) then old = each end
  end
  if not old then break end
  give_up(old, too_late(old))
end
for _, id in ipairs(redis.call('LRANGE', INTERMEDIATE, 0, 999)) do -- workers leave there what they find no job of
  if redis.call('EXISTS', TASK .. id) == 0 then redis.call('LREM', INTERMEDIATE, 1, id) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], 0, now - 600) -- of workers whose clocks are behind as well
for _, key in ipairs({FAILED, KEYS[5]}) do
  redis.call('ZREMRANGEBYSCORE', key, 0, now)
  longer(key, result_ttl)
end
for _, key in ipairs({QUEUE, INTERMEDIATE, SCHEDULED, KEYS[3]}) do
  longer(key, ttl)
end
for _, key in ipairs({WORKERS, KEYS[6]}) do
  for _, worker in ipairs(redis.call('SMEMBERS', key)) do
    if redis.call('EXISTS', worker) == 0 then redis.call('SREM', key, worker) end
  end
end
redis.call('EXPIRE', KEYS[6], 600)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', HELD, 0, now, 'LIMIT', 0, 1000)) do release(name) end
local due = redis.call('ZRANGEBYSCORE', OPEN, '-inf', now, 'LIMIT', 0, 1000)
if #due == 0 then return rescued end
local waiting = {}
local queue = redis.call('LRANGE', QUEUE, 0, -1)
local pause = math.max(5, #queue / 200) -- a long queue is gone through bit by bit: meanwhile Redis answers nobody
for _, id in ipairs(queue) do waiting[id] = true end
for _, id in ipairs(redis.call('ZRANGE', SCHEDULED, 0, -1)) do waiting[id] = true end
for _, id in ipairs(due) do
  local key = TASK .. id
  local status = redis.call('HGET', key, 'status')
  if not status or status == 'SUCCESS' or status == 'FAILURE' then
    redis.call('ZREM', OPEN, id)
  elseif waiting[id] then
    redis.call('HDEL', key, 'noticed')
    keep_waiting(id)
    open_until(id, pause)
  elseif redis.call('HSETNX', key, 'noticed', now) == 1 then
    open_until(id, grace)
  else
    redis.call('HDEL', key, 'noticed')
    -- One that was taken and never begun, as Redis was full, has cost nobody anything
    if status == 'STARTED' and redis.call('HINCRBY', key, 'crashes', 1) >= most then
      give_up(id, ARGV[7])
    else
      withdraw(id)
      redis.call('HSET', key, 'status', 'RETRY', 'stage', '', 'reason', ARGV[8])
      open_until(id, 5)
      requeue(id)
      rescued[#rescued + 1] = id
      tally('rescued')
    end
  end
end
return rescued
"""
)
