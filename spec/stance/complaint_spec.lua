local captured_log = require "spec.core.captured_log"
local complaints = require "stance.complaint"
local err = require "stance.err"

describe("a complaint", function()
  --- What is logged when tries end like this, a word each.
  local function said(outcomes)
    local lines = captured_log(function()
      local complaint = complaints.new(require("log").named "spec", "cannot")
      for _, why in ipairs(outcomes) do complaint:heed(why) end
    end)
    for i, line in ipairs(lines) do lines[i] = ("%s %s %s"):format(line.level, line.message, line.reason or "") end
    return lines
  end

  local full = err("no_space", "full")

  for name, case in pairs {
    ["is not made while all is well"] = { { false, false }, {} },
    ["is made once, and taken back once"] = { { false, full, full, full, false, false },
      { "warn cannot full", "info cannot: that is over " } },
    ["is made again when it comes again"] = { { full, false, full },
      { "warn cannot full", "info cannot: that is over ", "warn cannot full" } },
    ["tells of another reason"] = { { full, "slow", "slow" }, { "warn cannot full", "warn cannot slow" } },
  } do
    it(name, function() assert.same(case[2], said(case[1])) end)
  end
end)
