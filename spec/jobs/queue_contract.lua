-- queue_contract.lua - what every job queue must do; a queue's spec calls this with a way to make an empty one.
--
--     contract("sqlite", function(clock) return queue end)
--
-- `clock.now` is the time that the queue sees.

return function(name, new_queue)
  describe(name .. " queue", function()
    local clock, queue, counter

    before_each(function()
      clock = { now = 1000 }
      counter = 0
      queue = new_queue(clock)
    end)

    local function submit(fields)
      counter = counter + 1
      local job = { id = ("t_%d"):format(counter), type = "t", params = { n = counter }, generation = "g" }
      for key, value in pairs(fields or {}) do job[key] = value end
      assert(queue:submit(job))
      return job.id
    end

    local function claim(fields)
      local request = { worker = "w1", generation = "g", limit = 10, lease = 30 }
      for key, value in pairs(fields or {}) do request[key] = value end
      return assert(queue:claim(request))
    end

    local function claim_ids(fields)
      local ids = {}
      for i, job in ipairs(claim(fields)) do ids[i] = job.id end
      return ids
    end

    local function is_conflict(ok, why)
      assert.is_nil(ok)
      assert.equal("conflict", why.code)
    end

    describe("claim", function()
      it("gives each job once, in the order of submission", function()
        submit() submit() submit()
        assert.same({ "t_1", "t_2" }, claim_ids { limit = 2 })
        assert.same({ "t_3" }, claim_ids { worker = "w2" })
        assert.same({}, claim_ids())
      end)

      it("gives higher priorities first", function()
        submit() submit { priority = 5 } submit { priority = -1 }
        assert.same({ "t_2", "t_1", "t_3" }, claim_ids())
      end)

      it("hands over params, epoch and attempt", function()
        submit()
        local job = claim()[1]
        assert.same({ n = 1 }, job.params)
        assert.equal(1, job.epoch)
        assert.equal(1, job.attempt)
      end)

      it("leaves jobs of other generations alone", function()
        submit { generation = "old" }
        assert.same({}, claim_ids())
        assert.same({ "t_1" }, claim_ids { generation = "old" })
      end)

      it("waits for a job's time", function()
        submit { run_at = 1010 }
        assert.same({}, claim_ids())
        assert.equal(1010, queue:next_due())
        clock.now = 1010
        assert.same({ "t_1" }, claim_ids())
      end)

      it("passes over types that are full", function()
        submit() submit { type = "u" }
        assert.same({ "t_2" }, claim_ids { without = { "t" } })
      end)
    end)

    describe("idempotency key", function()
      it("finds the first job again", function()
        submit { idempotency_key = "k", request_hash = "h" }
        local ok, why = queue:submit { id = "other", type = "t", params = {}, generation = "g", idempotency_key = "k" }
        assert.is_nil(ok)
        assert.equal("exists", why.code)
        assert.equal("t_1", why.job_id)
        assert.equal("h", why.request_hash)
      end)

      it("belongs to its principal", function()
        submit { idempotency_key = "k", principal = "a" }
        submit { idempotency_key = "k", principal = "b" }
        assert.equal(2, #claim())
      end)
    end)

    describe("epoch", function()
      local id

      before_each(function()
        id = submit()
        claim()
      end)

      it("lets its holder journal, note and complete", function()
        assert(queue:step(id, 1, { key = "s", name = "s", result = { a = 1 } }, { artifacts = { { name = "x", hash = "h", size = 1 } } }))
        assert(queue:note(id, 1, { progress = { done = 1, total = 2 } }))
        assert(queue:complete(id, 1, { fine = true }))
      end)

      it("ignores a completion that comes late", function()
        clock.now = 1031
        assert.equal(1, queue:expire())
        claim { worker = "w2" }
        is_conflict(queue:complete(id, 1, {}))
        is_conflict(queue:fail(id, 1, { code = "x", message = "x" }))
        is_conflict(queue:step(id, 1, { key = "s", name = "s" }))
        is_conflict(queue:note(id, 1, { progress = { done = 1, total = 1 } }))
        is_conflict(queue:release(id, 1))
        is_conflict(queue:cancelled(id, 1, "x"))
        assert(queue:complete(id, 2, {}))
      end)

      it("ignores a second completion", function()
        assert(queue:complete(id, 1, {}))
        is_conflict(queue:complete(id, 1, {}))
        is_conflict(queue:fail(id, 1, { code = "x", message = "x" }))
      end)

      it("journals a key once", function()
        assert(queue:step(id, 1, { key = "s", name = "s", result = 1 }))
        is_conflict(queue:step(id, 1, { key = "s", name = "s", result = 2 }))
        assert.equal("1", queue:journal(id)[1].result)
      end)

      it("keeps nothing of a refused step", function()
        assert(queue:complete(id, 1, {}))
        is_conflict(queue:step(id, 1, { key = "s", name = "s" }, { artifacts = { { name = "x", hash = "h", size = 1 } } }))
        assert.same({}, queue:journal(id))
      end)
    end)

    describe("report", function()
      it("keeps each for itself, in order", function()
        local a, b = submit(), submit()
        claim()
        local outcomes = assert(queue:report {
          { "note", a, 1, { events = { { type = "job.log", data = { level = "info", message = "first" } } } } },
          { "step", a, 1, { key = "s", name = "s", result = 1 } },
          { "step", b, 7, { key = "s", name = "s", result = 2 } },
          { "step", a, 1, { key = "s", name = "s", result = 3 } },
          { "complete", a, 1, { fine = true } },
          { "note", a, 1, { progress = { done = 1, total = 1 } } },
          { "step", b, 1, { key = "s", name = "s", result = 4 } },
        })
        local codes = {}
        for i, outcome in ipairs(outcomes) do codes[i] = outcome == true and "kept" or outcome.code end
        assert.same({ "kept", "kept", "conflict", "conflict", "kept", "conflict", "kept" }, codes)
        assert.equal("1", queue:journal(a)[1].result)
        assert.equal("4", queue:journal(b)[1].result)
      end)
    end)

    describe("counts", function()
      local function counts()
        local all = assert(queue:counts())
        return ("%d %d %d %d %d"):format(all.pending, all.processing, all.completed, all.failed, all.cancelled)
      end

      for _, known in ipairs { true, false } do
        it(("follow every change%s"):format(known and "" or ", also when they are first asked for at the end"), function()
          local function is(text) if known then assert.equal(text, counts()) end end
          is "0 0 0 0 0"
          for _ = 1, 7 do submit() end
          submit { max_attempts = 1 }
          submit { run_at = 5000, deadline = 2000 }
          is "9 0 0 0 0"
          claim { limit = 7 }
          queue:complete("t_1", 1, {})
          queue:fail("t_2", 1, { code = "x", message = "x" })
          queue:cancel("t_3", "x")
          queue:cancelled("t_3", 1, "x")
          queue:cancel("t_4", "x")
          queue:release("t_4", 1)
          queue:fail("t_5", 1, { code = "x", message = "x" }, 4000)
          queue:complete("t_1", 1, {})
          is "3 2 1 1 2"
          queue:cancel("t_5", "x")
          queue:cancel("t_6", "x")
          queue:worker_died("w1", "killed")
          claim()
          queue:worker_died("w1", "killed")
          is "2 0 1 2 4"
          clock.now = 3000
          queue:expire()
          queue:retry "t_2"
          queue:retry "t_3"
          assert.equal("3 0 1 2 3", counts())
        end)
      end
    end)

    describe("lease", function()
      it("is prolonged by extend", function()
        local id = submit()
        claim()
        clock.now = 1029
        assert.same({ lost = {}, cancel = {} }, queue:extend({ { id = id, epoch = 1 } }, 30))
        clock.now = 1031
        assert.is_false(queue:has_expired())
        clock.now = 1060
        assert.is_true(queue:has_expired())
      end)

      it("tells who lost it", function()
        local id = submit()
        claim()
        clock.now = 1031
        queue:expire()
        assert.same({ id }, queue:extend({ { id = id, epoch = 1 } }, 30).lost)
      end)

      it("that ran out gives the job to the next worker, with its journal", function()
        local id = submit()
        claim()
        assert(queue:step(id, 1, { key = "s", name = "s", result = "kept" }))
        clock.now = 1031
        assert.equal(1, queue:expire())
        local job = claim({ worker = "w2" })[1]
        assert.equal(2, job.epoch)
        assert.equal(2, job.attempt)
        assert.equal('"kept"', queue:journal(id)[1].result)
      end)

      it("lost too often makes the job poison", function()
        submit { max_attempts = 2 }
        claim()
        assert.equal(1, (queue:worker_died("w1", "killed")))
        claim()
        local back, failed = queue:worker_died("w1", "killed")
        assert.same({ 0, 1 }, { back, failed })
        assert.same({}, claim_ids())
      end)

      it("lost after a finished step begins the count of poison anew", function()
        local id = submit { max_attempts = 2 }
        for epoch = 1, 5 do
          local was_poison = claim()[1].poison > 0
          assert(queue:step(id, epoch, { key = "s" .. epoch, name = "s", was_poison = was_poison }))
          assert.equal(1, (queue:worker_died("w1", "killed")))
        end
      end)

      it("lost by a crash counts against the steps that were begun", function()
        local id = submit()
        claim()
        assert(queue:begin(id, 1, "bad", "bad"))
        queue:worker_died("w1", "killed by hand", false)
        assert.equal(0, queue:journal(id)[1].crashes)
        claim()
        assert(queue:begin(id, 2, "bad", "bad"))
        queue:worker_died("w1", "crashed", true)
        assert.equal(1, queue:journal(id)[1].crashes)
        assert.equal(2, claim()[1].poison)
        assert(queue:step(id, 3, { key = "bad", name = "bad", result = "fine after all" }))
        assert.is_nil(queue:journal(id)[1].crashes)
      end)

      it("waits no longer when the next host's clock stands further back", function()
        local delayed = submit { run_at = 1010, deadline = 1100 }
        clock.now = 400
        assert.equal(0, (queue:recover()))
        assert.equal(410, queue:next_due())
        clock.now = 409
        assert.same({}, claim_ids())
        clock.now = 410
        assert.same({ delayed }, claim_ids())
        assert(queue:fail(delayed, 1, { code = "io", message = "no luck" }, 415))
        clock.now = 501
        assert.is_true(queue:has_expired())
      end)

      it("lost by a restart of the host is nobody's fault", function()
        submit { max_attempts = 1 }
        claim()
        assert.equal(1, (queue:recover()))
        assert.same({ "t_1" }, claim_ids())
      end)
    end)

    describe("release", function()
      it("does not count as an attempt", function()
        local id = submit()
        claim()
        assert(queue:release(id, 1))
        assert.equal(1, claim()[1].attempt)
      end)
    end)

    describe("fail", function()
      it("with a time to retry puts the job back until then", function()
        local id = submit()
        claim()
        assert(queue:fail(id, 1, { code = "io", message = "no luck" }, 1005))
        assert.same({}, claim_ids())
        clock.now = 1005
        local job = claim()[1]
        assert.same({ 2, 1 }, { job.attempt, job.failures })
        assert(queue:complete(id, 2, {}))
      end)
    end)

    describe("cancel", function()
      it("ends a pending job at once", function()
        local id = submit()
        assert.equal("cancelled", queue:cancel(id, "enough"))
        assert.same({}, claim_ids())
      end)

      it("tells the worker of a running one", function()
        local id = submit()
        claim()
        local state, worker = queue:cancel(id, "enough")
        assert.same({ "cancelling", "w1" }, { state, worker })
        assert.same({ id }, queue:extend({ { id = id, epoch = 1 } }, 30).cancel)
        assert(queue:cancelled(id, 1, "enough"))
        is_conflict(queue:cancel(id, "again"))
      end)

      for way, give_back in pairs {
        ["gives the job back"] = function(id) return queue:release(id, 1) end,
        ["fails and would try again"] = function(id) return queue:fail(id, 1, { code = "io", message = "x" }, 1001) end,
      } do
        it(("is not forgotten when the worker %s"):format(way), function()
          local id = submit()
          claim()
          queue:cancel(id, "enough")
          assert(give_back(id))
          clock.now = 1002
          assert.same({}, claim_ids())
          is_conflict(queue:cancel(id, "again"))
          assert(queue:retry(id))
          assert.same({ id }, claim_ids())
        end)
      end

      it("is not forgotten when the worker dies", function()
        local id = submit()
        claim()
        queue:cancel(id, "enough")
        queue:worker_died("w1", "killed")
        assert.same({}, claim_ids())
        is_conflict(queue:cancel(id, "again"))
      end)
    end)

    describe("retry", function()
      it("keeps finished steps and forgets failed ones", function()
        local id = submit()
        claim()
        assert(queue:step(id, 1, { key = "good", name = "good", result = 1 }))
        assert(queue:step(id, 1, { key = "bad", name = "bad", error = { code = "x", message = "x" } }))
        assert(queue:fail(id, 1, { code = "x", message = "x" }))
        assert(queue:retry(id))
        local job = claim()[1]
        local journal = queue:journal(job.id)
        assert.equal(1, #journal)
        assert.equal("good", journal[1].key)
      end)

      it("is refused while the job runs, and after it completed", function()
        local id = submit()
        is_conflict(queue:retry(id))
        claim()
        is_conflict(queue:retry(id))
        assert(queue:complete(id, 1, {}))
        is_conflict(queue:retry(id))
      end)
    end)

    describe("child", function()
      local parent

      before_each(function()
        parent = submit()
        claim()
      end)

      local function spawn(epoch)
        return queue:submit { id = "child", type = "t", params = {}, generation = "g", parent = parent, parent_epoch = epoch,
          idempotency_key = "k" }
      end

      it("is accepted from the one that runs its parent, once", function()
        assert(spawn(1))
        assert.equal("exists", select(2, spawn(1)).code)
      end)

      it("is refused from one that has lost its parent, or whose parent is cancelled", function()
        is_conflict(spawn(0))
        queue:cancel(parent, "enough")
        is_conflict(spawn(1))
        assert.same({}, claim_ids())
      end)
    end)

    describe("deadline", function()
      it("fails a job that did not start in time", function()
        local id = submit { deadline = 1005 }
        clock.now = 1006
        assert.is_true(queue:has_expired())
        queue:expire()
        assert.same({}, claim_ids())
        assert(queue:retry(id))
      end)
    end)

    describe("signals", function()
      it("are taken once, in order, and journalled", function()
        local id = submit()
        assert(queue:signal(id, "go", { n = 1 }))
        assert(queue:signal(id, "go", { n = 2 }))
        claim()
        assert.same({ payload = { n = 1 } }, queue:take_signal(id, 1, "go", "wait:go"))
        assert.same({ payload = { n = 2 } }, queue:take_signal(id, 1, "go", "wait:go#2"))
        assert.is_nil(queue:take_signal(id, 1, "go", "wait:go#3"))
        assert.equal(2, #queue:journal(id))
      end)

      it("are given again to the wait that has them: the first answer may have been lost", function()
        local id = submit()
        assert(queue:signal(id, "go", { n = 1 }))
        claim()
        assert(queue:take_signal(id, 1, "go", "wait:go"))
        assert.same({ payload = { n = 1 } }, queue:take_signal(id, 1, "go", "wait:go"))
        assert(queue:signal(id, "go", { n = 2 }))
        assert.same({ payload = { n = 1 } }, queue:take_signal(id, 1, "go", "wait:go"))
        is_conflict(queue:take_signal(id, 0, "go", "wait:go"))
        assert.same({ payload = { n = 2 } }, queue:take_signal(id, 1, "go", "wait:go#2"))
      end)

      it("go to one of those who wait for the same", function()
        local fiber = require "fiber"
        local id, waits, taken = submit(), {}, 0
        assert(queue:signal(id, "go"))
        claim()
        for i = 1, 4 do waits[i] = fiber.spawn(queue.take_signal, queue, id, 1, "go", "wait:go#" .. i) end
        for _, wait in ipairs(waits) do
          local _, signal, why = wait:join()
          assert.is_nil(why)
          taken = taken + (signal and 1 or 0)
        end
        assert.equal(1, taken)
      end)

      it("for a job that has ended are refused", function()
        local id = submit()
        queue:cancel(id, "x")
        is_conflict(queue:signal(id, "go"))
      end)
    end)
  end)
end
