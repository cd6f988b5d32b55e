-- breakage_spec.lua - does the simulation notice? Each case breaks the engine in one way; some history must go wrong by it.
local history = require "spec.sim.history"
local host = require "host"

local most = 400 -- histories

--- A case's `sql` is given each statement; `script` names a script, in which `from` is replaced by `to` (plain text, once).
local cases = {
  ["writes without the epoch"] = { mix = "leases", sql = { "epoch = %?", "? IS NOT NULL" } },
  ["claims that keep the epoch"] = { mix = "workers", sql = { "epoch = epoch %+ 1", "epoch = epoch" } },
  ["leases that never run out"] = { mix = "links", sql = { "lease_until < %?", "lease_until < -?" } },
  ["jobs that end although they do not run"] = { mix = "leases",
    sql = { "epoch = %? AND status = 'processing'", "? IS NOT NULL AND status <> 'pending'" } },
  ["a journal that is written over"] = { mix = "leases", sql = { "ended_at = excluded%.ended_at WHERE ended_at IS NULL",
    "ended_at = excluded.ended_at" }, also = { "epoch = %?", "? IS NOT NULL" } },
  ["leases on the wall clock"] = { mix = "clocks", script = "stance/jobs.lua", from = "time.monotonic() + offset", to = "time.now()" },
  ["delays that a restart lengthens"] = { mix = "clocks", sql = { "AND queued_at > %?1", "AND queued_at > ?1 + 1e9" } },
  ["a wake-up that is lost"] = { mix = "calm", script = "stance/signal.lua",
    from = "for channel in pairs(waiting) do channel:put(true) end", to = "" },
  ["a wake-up that is lost between looking and waiting"] = { mix = "calm", script = "stance/signal.lua",
    from = "since and since ~= self.count", to = "false" },
  ["a child of a job that has gone on elsewhere"] = { mix = "leases", favour = "child",
    sql = { "epoch = %? AND status = 'processing' AND cancel_requested = 0", "? IS NOT NULL" } },
  ["a run that ends although it could not journal"] = { mix = "links", script = "stance/job.lua",
    from = "if unreachable[why.code] then", to = "if false then" },
  ["artifacts that do not come with their step"] = { mix = "calm", script = "stance/job.lua",
    from = "note = self:take_note(step and step.artifacts)", to = "note = self:take_note()" },
  ["replays that forget a step"] = { mix = "workers", script = "stance/job.lua", from = "if not done then return run_step(",
    to = "if not done or done.result == 'null' or #key == 2 then return run_step(" },
}

local function library_of(case)
  if not case.script then return history.library() end
  local text = host.script(case.script)
  local at, to = text:find(case.from, 1, true)
  assert(at, ("%s no longer has '%s': mend this case"):format(case.script, case.from))
  return history.library { [case.script] = text:sub(1, at - 1) .. case.to .. text:sub(to + 1) }
end

describe("simulation notices", function()
  for name, case in pairs(cases) do
    it(name, function()
      local library, touched = library_of(case), 0
      local function sql(text)
        for _, change in pairs { case.sql, case.also } do
          local count
          text, count = text:gsub(change[1], change[2])
          touched = touched + count
        end
        return text
      end
      for seed = 1, most do
        local ok, wrong = pcall(history.run, { seed = seed, library = library, mix = case.mix, favour = case.favour,
          sql = case.sql and sql })
        if ok and #wrong > 0 then return end
      end
      error(case.sql and touched == 0 and "no statement is like that any more: mend this case" or "it did not", 0)
    end)
  end
end)
