--- virtual/modules.lua - stand-ins for the runtime's modules that tell the time, log, draw lots, or keep something on a disk.
---
--- Each does what stance/meta says of its original, on the clock and from the seed of a virtual machine. SQL runs in a real
--- database in memory.
local crypto, time = require "crypto", require "time"
local err = require "stance.err"

local M = {}

---@param machine stance.virtual
function M.time(machine)
  local stand_in = setmetatable({}, { __index = time })
  function stand_in.now() return machine:wall() end
  function stand_in.monotonic() return machine.scheduler.now end
  function stand_in.iso(when) return time.iso(when or machine:wall()) end
  function stand_in.format(when, format) return time.format(when or machine:wall(), format) end
  return stand_in
end

function M.crypto(machine)
  local stand_in, random = setmetatable({}, { __index = crypto }), machine.random:fork()
  function stand_in.random(count) return random:bytes(count) end
  function stand_in.uuid()
    local hex = crypto.hex(random:bytes(16))
    return ("%s-%s-4%s-8%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), hex:sub(18, 20), hex:sub(21, 32))
  end
  return stand_in
end

local levels = { "debug", "info", "warn", "error" }

local function merged(a, b)
  local all = {}
  for _, part in ipairs { a, b } do for key, value in pairs(part) do all[key] = value end end
  return all
end

--- Lines go to `machine.on_log(process_name, level, message, fields)`, if there is one.
function M.log(machine, process_name)
  local function logger(added)
    local self = {}
    for _, level in ipairs(levels) do
      self[level] = function(message, fields)
        if machine.on_log then machine.on_log(process_name, level, tostring(message), merged(added, fields or {})) end
      end
    end
    function self.enabled() return true end
    function self.with(fields) return logger(merged(added, fields)) end
    function self.named() return self end
    return self
  end
  return logger {}
end

-- -- Disks ----------------------------------------------------------------------------------------------------------

--- The database of a process whose data lies on `disk` = { db = db.memory(), written = 0 }. As the runtime's writer, it runs
--- writes in the order in which they were asked for; a write of a process that dies before its turn is lost, one whose answer
--- is not awaited is done all the same.
---@param machine stance.virtual
---@param process stance.virtual.process
---@param disk table
function M.db(machine, process, disk)
  local scheduler, trouble = machine.scheduler, machine.trouble
  local function call(kind, writes)
    return function(...)
      local arguments, count = { ... }, select("#", ...)
      return scheduler:await(function(finish)
        local at = scheduler.now + trouble.delay "db"
        if writes then
          at = math.max(at, disk.written)
          disk.written = at
        end
        scheduler:after(at - scheduler.now, function()
          if process.dead then return end
          local why, happens = trouble.db(process, kind, arguments)
          local results = (not why or happens) and { disk.db[kind](unpack(arguments, 1, count)) }
          if why then results = { nil, why } end
          scheduler:after(trouble.delay "answer", function() finish(results[1], results[2]) end)
        end)
      end)
    end
  end
  return { query = call("query", false), read = call("read", false), exec = call("exec", true), transaction = call("transaction", true),
    transactions = call("transactions", true), blob = disk.db.blob, null = disk.db.null,
    memory = function() return nil, err("unsupported", "this is one") end }
end

--- An open file of `objects` or `fs`.
local function open_file(bytes)
  local file, at, closed = {}, 0, false
  local function check() if closed then error("the file is closed", 3) end end
  function file.read(_, count)
    check()
    if at >= #bytes then return nil end
    local piece = bytes:sub(at + 1, count and at + count or -1)
    at = at + #piece
    return piece
  end
  function file.seek(_, offset)
    check()
    at = offset
    return true
  end
  function file.size() return #bytes end
  function file.close()
    closed = true
    return true
  end
  return file
end

--- Objects in `kept`, by hash: what is put is whole or absent.
function M.objects(machine, process, kept)
  local scheduler, trouble = machine.scheduler, machine.trouble
  local function waiting(fn)
    return function(...)
      local arguments, count = { ... }, select("#", ...)
      return scheduler:await(function(finish)
        scheduler:after(trouble.delay "objects", function()
          if not process.dead then finish(fn(unpack(arguments, 1, count))) end
        end)
      end)
    end
  end
  local function find(hash)
    local object = kept[hash]
    if object then return object end
    return nil, err("not_found", "there is no object %s", tostring(hash))
  end
  local function info(object) return { hash = object.hash, size = #object.bytes, modified = object.modified } end
  local objects = {}
  objects.put = waiting(function(bytes)
    local why = trouble.objects(process)
    if why then return nil, why end
    local hash = crypto.sha256(bytes)
    kept[hash] = { hash = hash, bytes = bytes, modified = machine:wall() }
    return info(kept[hash])
  end)
  objects.read = waiting(function(hash)
    local object, why = find(hash)
    return object and object.bytes, why
  end)
  objects.open = waiting(function(hash)
    local object, why = find(hash)
    return object and open_file(object.bytes), why
  end)
  objects.stat = waiting(function(hash)
    local object, why = find(hash)
    return object and info(object), why
  end)
  objects.exists = waiting(function(hash) return kept[hash] ~= nil end)
  objects.verify = waiting(function(hash)
    local object, why = find(hash)
    return object and true, why
  end)
  objects.remove = waiting(function(hash)
    local object, why = find(hash)
    kept[hash] = nil
    return object and true, why
  end)
  return objects
end

return M
