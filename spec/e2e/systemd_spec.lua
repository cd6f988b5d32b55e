-- What systemd hears from a real host (Type=notify), at a socket of our own in systemd's place; and the unit file.
local ffi = require "ffi"
local support = require "spec.e2e.support"

ffi.cdef [[
  struct stance_spec_address { unsigned short family; char path[108]; };
  int socket(int domain, int type, int protocol);
  int bind(int fd, const struct stance_spec_address *address, unsigned int size);
  ssize_t recv(int fd, void *buffer, size_t size, int flags);
  int close(int fd);
]]

local AF_UNIX, SOCK_DGRAM, MSG_DONTWAIT = 1, 2, 0x40

--- A service manager that only listens. The name is a path, or "@..." for the abstract name space.
local function manager(name)
  local fd = ffi.C.socket(AF_UNIX, SOCK_DGRAM, 0)
  local address = ffi.new "struct stance_spec_address"
  address.family = AF_UNIX
  ffi.copy(address.path, name, #name)
  if name:sub(1, 1) == "@" then address.path[0] = 0 end
  assert(ffi.C.bind(fd, address, 2 + #name) == 0, "cannot bind " .. name)
  local buffer, self = ffi.new "char[1024]", {}
  function self.hear()
    local size = tonumber(ffi.C.recv(fd, buffer, 1024, MSG_DONTWAIT))
    return size > 0 and ffi.string(buffer, size) or nil
  end
  --- Waits for a message with `word` in it; passes others over.
  function self.wait_for(word)
    return support.eventually("the message " .. word, 15, function()
      local text = self.hear()
      while text and not text:find(word, 1, true) do text = self.hear() end
      return text
    end)
  end
  function self.close() ffi.C.close(fd) end
  return self
end

describe("under systemd", function()
  local host, systemd, folder

  before_each(function() folder = support.folder() end)

  local function start(name, environment, workflows)
    systemd = manager(name)
    host = support.host { workflows = workflows, environment = ("NOTIFY_SOCKET=%s %s"):format(name, environment or "") }
  end

  after_each(function()
    if host:is_alive() then host:stop() end
    systemd.close()
    support.shell("rm -rf " .. folder)
  end)

  for what, prefix in pairs { ["a path"] = "", ["an abstract name"] = "@" } do
    it("the host says when it is ready and when it stops, to " .. what, function()
      start(prefix .. folder .. "/notify")
      assert.equal("READY=1\nSTATUS=listening on " .. host.url, systemd.wait_for "READY=1")
      host:signal "TERM"
      assert.match("^STOPPING=1\nSTATUS=", systemd.wait_for "STOPPING=1")
      support.eventually("the host to stop", 20, function() return not host:is_alive() end)
    end)
  end

  it("the host gives signs of life, its workers do not speak for it", function()
    start(folder .. "/notify", "WATCHDOG_USEC=200000")
    systemd.wait_for "READY=1"
    for _ = 1, 3 do assert.equal("WATCHDOG=1", systemd.wait_for "WATCHDOG=1") end
    for _, pid in ipairs(host:worker_pids()) do
      local environment = assert(io.open(("/proc/%d/environ"):format(pid))):read "*a"
      assert.is_nil(environment:find("NOTIFY_SOCKET", 1, true))
      assert.is_nil(environment:find("WATCHDOG", 1, true))
    end
  end)

  it("a reload begins and ends, well or not", function()
    start(folder .. "/notify", "STANCE_WATCH=false", { ask = "local t = require 'stance.schema'\n"
      .. "return { name = 'ask', version = 1, params = t.object {}, run = function() end }" })
    systemd.wait_for "READY=1"
    local script = host.folder .. "/scripts/workflows/ask.lua"
    support.shell(("sed -i 's/version = 1/version = 2/' %s"):format(script))
    host:signal "HUP"
    assert.match("^RELOADING=1\nMONOTONIC_USEC=%d+$", systemd.wait_for "RELOADING=1")
    assert.match("^READY=1\nSTATUS=running scripts of generation %x+$", systemd.wait_for "READY=1")
    support.write(script, "return {")
    host:signal "HUP"
    systemd.wait_for "RELOADING=1"
    assert.match("^READY=1\nSTATUS=running; the last reload failed: workflows/ask.lua:1: ", systemd.wait_for "reload failed")
  end)

  it("a host that is stuck falls silent", function()
    start(folder .. "/notify", "WATCHDOG_USEC=100000")
    systemd.wait_for "WATCHDOG=1"
    host:signal "STOP"
    while systemd.hear() do end
    require("fiber").sleep(0.3)
    assert.is_nil(systemd.hear())
    host:signal "CONT"
    systemd.wait_for "WATCHDOG=1"
  end)
end)

describe("the unit file", function()
  local folder

  before_each(function() folder = support.folder() end)
  after_each(function() support.shell("rm -rf " .. folder) end)

  local function install()
    support.shell(("make -s -o build/stance install DESTDIR=%s PREFIX=/usr >/dev/null 2>&1"):format(folder))
    return folder .. "/usr/lib/systemd/system/stance.service"
  end

  it("is installed with the program's path in it", function()
    local text = assert(io.open(install())):read "*a"
    assert.match("\nExecStart=/usr/bin/stance serve\n", text)
    assert.is_nil(text:find("@BINDIR@", 1, true))
    assert.is_nil(text:find("\nMemoryDenyWriteExecute=yes", 1, true))
  end)

  it("is one that systemd understands", function()
    if support.shell "command -v systemd-analyze || true" == "" then return pending "systemd-analyze is not installed" end
    local file = install()
    support.shell(("sed -i 's|=/usr/bin|=%s/usr/bin|' %s"):format(folder, file))
    assert.equal("", support.shell(("systemd-analyze verify %s 2>&1 || true"):format(file)))
  end)
end)
