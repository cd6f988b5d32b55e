local host = require "host"

describe("host", function()
  it("says what it is", function()
    assert.equal("spec", host.role)
    assert.matches("^%d+%.%d+", host.version)
    assert.matches("^/", host.data_dir)
    assert.is_true(host.pid > 1 and host.uptime() >= 0 and host.lag() >= 0)
    local memory = host.memory()
    assert.is_true(memory.resident > 1e6 and memory.vm > 1e4)
  end)

  it("knows its scripts", function()
    assert.matches("^%x+$", host.generation())
    assert.equal(16, #host.generation())
    local scripts, found = host.scripts(), nil
    for i, script in ipairs(scripts) do
      assert.is_true(i == 1 or scripts[i - 1].path < script.path)
      assert.equal(64, #script.hash)
      found = script.path == "stance/job.lua" and script or found
    end
    assert.equal(found.size, #host.script "stance/job.lua")
    local text, why = host.script "nowhere.lua"
    assert.is_nil(text)
    assert.equal("not_found", why.code)
  end)

  it("gives settings in their units, and no secrets", function()
    assert.equal(30, host.config "job_lease")
    assert.equal(8 * 1024 * 1024, host.config "max_body")
    assert.same({ "/" }, host.config "read_roots")
    assert.equal(host.data_dir, host.config "data")
    assert.has_error(function() host.config "no_such" end)
    assert.has_error(function() host.config "token" end)
  end)
end)
