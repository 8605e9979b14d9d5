-- What the scripts of the offline store have in common. It is put in front of them.
--
-- The messages of a user are a stream; the entry of one is `p`, its payload. Those that do not live for ever are also in a
-- sorted set, by the time of their end. Both go when the last of them has ended, and a while later, so that whoever comes
-- in that time still counts what has ended, and no id comes again.

-- Milliseconds.
local LINGER = 60000
-- Lua passes a few thousand arguments at most.
local CHUNK = 1000

-- Milliseconds since the Unix epoch, by the clock of Redis.
local function now_ms ()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Removes entries. Returns how many there were.
local function remove (stream, expiry, ids)
  local removed = 0
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    removed = removed + redis.call('XDEL', stream, unpack(ids, first, last))
    redis.call('ZREM', expiry, unpack(ids, first, last))
  end
  return removed
end

-- Removes what has ended. Returns how many there were.
local function drop_expired (stream, expiry, now)
  return remove(stream, expiry, redis.call('ZRANGE', expiry, '-inf', string.format('%.0f', now), 'BYSCORE'))
end

-- Both keys end with the last message, and not at all while one lives for ever.
local function set_end (stream, expiry, now)
  local last
  local mortal = redis.call('ZCARD', expiry)
  if redis.call('XLEN', stream) > mortal then
    redis.call('PERSIST', stream)
    redis.call('PERSIST', expiry)
    return
  end
  if mortal > 0 then last = redis.call('ZRANGE', expiry, 0, 0, 'REV', 'WITHSCORES')[2] else last = now end
  local at = string.format('%.0f', last + LINGER)
  redis.call('PEXPIREAT', stream, at)
  redis.call('PEXPIREAT', expiry, at)
end
