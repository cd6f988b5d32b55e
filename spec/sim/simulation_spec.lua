-- simulation_spec.lua - the promises of the job engine, over many seeded histories of random jobs and random trouble.
--
-- SIM_SEED=n runs that history alone, and SIM_TRACE=1 prints it line by line. SIM_COUNT=n runs so many (default 250, in `make test`
-- thousands), from SIM_FROM on (default 1).
local history = require "spec.sim.history"

local only = tonumber(os.getenv "SIM_SEED" or "")
local count, from = tonumber(os.getenv "SIM_COUNT" or "") or 250, tonumber(os.getenv "SIM_FROM" or "") or 1
local shown = 5 -- bad histories whose problems are told

describe("simulation", function()
  local library, next_library = history.library(), history.library(nil, "next")

  local function run(seed, trace)
    local ok, wrong = pcall(history.run, { seed = seed, library = library, next_library = next_library, trace = trace })
    return ok and wrong or { tostring(wrong) }
  end

  --- What went wrong, as one text; "" when nothing did.
  local function told(seed, wrong)
    if #wrong == 0 then return "" end
    return ("SIM_SEED=%d build/stance-spec spec/sim\n    %s\n"):format(seed, table.concat(wrong, "\n    "))
  end

  if only then
    it(("keeps every promise in history %d"):format(only), function()
      assert.equal("", told(only, run(only, os.getenv "SIM_TRACE" and print)))
    end)
    return
  end

  it(("keeps every promise in histories %d to %d"):format(from, from + count - 1), function()
    local texts, bad = {}, 0
    for seed = from, from + count - 1 do
      local text = told(seed, run(seed))
      if text ~= "" then
        bad = bad + 1
        if bad <= shown then texts[bad] = text end
      end
    end
    assert(bad == 0, ("%d of %d histories went wrong:\n%s"):format(bad, count, table.concat(texts)))
  end)

  it("tells the same history from the same seed, line by line", function()
    for _, mix in ipairs { "storm", "hosts", "links" } do
      local function trace()
        local lines = {}
        history.run { seed = 4, library = library, mix = mix, trace = function(line) lines[#lines + 1] = line end }
        return lines
      end
      local first, second = trace(), trace()
      assert.is_true(#first > 300)
      for i = 1, math.max(#first, #second) do assert.equal(first[i], second[i]) end
    end
  end)
end)
