--[[
What is kept of a room behind a position, and where the room stands: in one step, so that nothing is between them.

KEYS
  1     meta
  2     log
  3     batches of the bus
ARGV
  1     rest of the epoch, should the room begin: epoch-shared.lua
  2     ttl of its meta (ms); 0: no limit
  3     'log' or 'cache'; '' for a room of which nothing is kept
  4     ttl of its log (ms); 0: no limit
  5     epoch of the position; '' for all that is kept
  6     offset of the position
  7     the most to return; 0: no limit
  8     '1': when they are not all there is behind the position, what is kept all the same
Output
  epoch and offset of the room; 1 when they are all there is behind the position, else 0; the entries of the log; the
  number of the latest entry of the bus: whoever has read that has had all that the bus will bring up to this offset
]]
local sequence = redis.call('HGET', KEYS[3], '#') or '0'
local epoch, offset = position_of(KEYS[1])
if not epoch then epoch, offset = begin(KEYS[1], KEYS[2], ARGV[1], '') end
if tonumber(ARGV[2]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) else redis.call('PERSIST', KEYS[1]) end

local place = string.format('%.0f', offset)
local mode, ttl, since, from = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local isHeld = since ~= '' and from <= held_of(KEYS[1], epoch, offset, since)
if since ~= '' and not isHeld then
  if ARGV[8] ~= '1' then return { epoch, place, 0, {}, sequence } end
  from = 0
elseif since ~= '' and from == offset then
  return { epoch, place, 1, {}, sequence }
end
if mode == '' then return { epoch, place, since == '' and 1 or 0, {}, sequence } end

if ttl > 0 then
  -- The id of an entry ends with the time at which it was added.
  local time = redis.call('TIME')
  local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - ttl
  local old
  repeat
    old = 0
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 16)
    for _, entry in ipairs(first) do
      if tonumber(string.match(entry[1], '%-(%d+)$')) > oldest then break end
      old = old + 1
    end
    if old > 0 then redis.call('XTRIM', KEYS[2], 'MINID', string.match(first[old][1], '^%d+') .. '-18446744073709551615') end
    if old > 0 then redis.call('XDEL', KEYS[2], first[old][1]) end
  until old < 16
end

local start = since == '' and '-' or string.format('%.0f', from + 1)
local entries
if ARGV[7] == '0' then
  entries = redis.call('XRANGE', KEYS[2], start, '+')
else
  entries = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', ARGV[7])
end
if since == '' then return { epoch, place, 1, entries, sequence } end
local complete = false
if isHeld and #entries > 0 then
  local first, last = tonumber(string.match(entries[1][1], '^%d+')), tonumber(string.match(entries[#entries][1], '^%d+'))
  -- Of a cache the latest is enough. A node that keeps nothing of the room, by another policy, makes a hole, and leaves the end out.
  complete = (mode == 'cache' or (first == from + 1 and last == from + #entries))
    and (last == offset or (ARGV[7] ~= '0' and #entries == tonumber(ARGV[7])))
end
if not complete and ARGV[8] ~= '1' then entries = {} end
return { epoch, place, complete and 1 or 0, entries, sequence }
