-- fiber_contract.lua - what the module `fiber` does, for all that implement it: the runtime's own, and the one on a virtual clock.
--
--     contract("fiber", function() return fiber_module, inside end)
--
-- `inside(fn)` runs fn in a fiber of that module's, and raises what it raises.

return function(name, new_fiber)
  local busted_it, fiber, inside = it, nil, nil
  before_each(function() fiber, inside = new_fiber() end)

  describe(name, function()
    --- The body runs in a fiber, and leaves none behind.
    local function it(words, body)
      busted_it(words, function()
        inside(function()
          local before = fiber.count()
          body()
          fiber.sleep(0.001)
          assert.equal(before, fiber.count(), "a fiber is left")
        end)
      end)
    end

    describe("join", function()
      it("gives the results", function()
        assert.same({ true, 1, nil, 3 }, { fiber.spawn(function(...) return ... end, 1, nil, 3):join() })
      end)

      it("gives the error", function()
        local ok, why = fiber.spawn(function() error({ code = "x", message = "m" }) end):join()
        assert.is_false(ok)
        assert.equal("x", why.code)
      end)

      it("may be called again", function()
        local one = fiber.spawn(function() fiber.sleep(0.001) return 7 end)
        assert.same({ true, 7 }, { one:join() })
        assert.same({ true, 7 }, { one:join() })
      end)

      it("gives up at its timeout", function()
        local one = fiber.spawn(function() fiber.sleep(0.05) end)
        local ok, why = one:join(0.001)
        assert.is_nil(ok)
        assert.equal("timeout", why.code)
        one:join()
      end)

      it("refuses the fiber itself", function()
        assert.has_error(function() fiber.self():join() end)
      end)
    end)

    describe("cancel", function()
      it("ends the present wait with the reason", function()
        local one = fiber.spawn(function() fiber.sleep(10) end)
        fiber.sleep(0)
        one:cancel "enough"
        local ok, why = one:join()
        assert.is_false(ok)
        assert.same({ "cancelled", "enough" }, { why.code, why.message })
      end)

      it("ends every later wait too", function()
        local waits = 0
        local one = fiber.spawn(function()
          for _ = 1, 3 do
            local ok = pcall(fiber.sleep, 10)
            if not ok then waits = waits + 1 end
          end
        end)
        fiber.sleep(0)
        one:cancel()
        one:join()
        assert.equal(3, waits)
      end)

      it("of a fiber that has ended does nothing", function()
        local one = fiber.spawn(function() return 1 end)
        one:join()
        one:cancel()
        assert.same({ true, 1 }, { one:join() })
      end)
    end)

    describe("deadline", function()
      it("ends the wait, and only inside", function()
        local ok, why = pcall(fiber.deadline, 0.002, fiber.sleep, 10)
        assert.is_false(ok)
        assert.equal("timeout", why.code)
        fiber.sleep(0.001)
      end)

      it("nested is never later than the outer one", function()
        local ok = pcall(fiber.deadline, 0.002, function() fiber.deadline(10, fiber.sleep, 10) end)
        assert.is_false(ok)
      end)

      it("passes results on", function()
        assert.same({ 1, 2 }, { fiber.deadline(1, function(...) return ... end, 1, 2) })
      end)
    end)

    describe("channel", function()
      it("hands values over in order", function()
        local channel = fiber.channel()
        local putter = fiber.spawn(function() for i = 1, 5 do channel:put(i) end channel:close() end)
        local got = {}
        for value in function() return channel:get() end do got[#got + 1] = value end
        assert.same({ 1, 2, 3, 4, 5 }, got)
        putter:join()
      end)

      it("blocks the putter when it is full", function()
        local channel = fiber.channel(1)
        assert.is_true(channel:put "a")
        local ok, why = channel:put("b", 0.001)
        assert.is_nil(ok)
        assert.equal("timeout", why.code)
        assert.equal("a", channel:get())
      end)

      it("closed gives what it holds, then the error", function()
        local channel = fiber.channel(2)
        channel:put(1)
        channel:close()
        assert.equal(1, channel:get())
        assert.equal("closed", select(2, channel:get()).code)
        assert.equal("closed", select(2, channel:put(1)).code)
      end)

      it("closed wakes who waits at either end", function()
        local empty, full = fiber.channel(), fiber.channel()
        local getter = fiber.spawn(function() return empty:get() end)
        local putter = fiber.spawn(function() return full:put(1) end)
        fiber.sleep(0)
        empty:close()
        full:close()
        assert.equal("closed", select(3, getter:join()).code)
        assert.equal("closed", select(3, putter:join()).code)
      end)

      it("forgets a getter that was cancelled", function()
        local channel = fiber.channel()
        local getter = fiber.spawn(function() return channel:get() end)
        fiber.sleep(0)
        getter:cancel()
        getter:join()
        local ok, why = channel:put(1, 0.001)
        assert.is_nil(ok)
        assert.equal("timeout", why.code)
      end)

      it("carries no nil", function()
        assert.has_error(function() fiber.channel(1):put(nil) end)
      end)
    end)

    describe("select", function()
      it("takes the first source that has something", function()
        local a, b = fiber.channel(), fiber.channel(1)
        b:put "x"
        assert.same({ 2, "x" }, { fiber.select { a, b } })
      end)

      it("waits for channels, fibers and timers", function()
        local channel = fiber.channel()
        local one = fiber.spawn(function() fiber.sleep(0.002) return "done" end)
        assert.same({ 2, true, "done" }, { fiber.select { channel, one, fiber.timer(5) } })
        assert.same({ 1, true }, { fiber.select { fiber.timer(0.001), channel } })
      end)

      it("leaves the others as they were", function()
        local a, b = fiber.channel(1), fiber.channel(1)
        local chooser = fiber.spawn(function() return fiber.select { a, b } end)
        fiber.sleep(0)
        b:put(1)
        chooser:join()
        a:put(2)
        assert.equal(2, a:get())
      end)

      it("gives up at its timeout", function()
        local index, why = fiber.select { fiber.channel(), timeout = 0.001 }
        assert.is_nil(index)
        assert.equal("timeout", why.code)
      end)

      it("refuses what is no source", function()
        assert.has_error(function() fiber.select { {} } end)
      end)
    end)

    it("cannot wait inside a coroutine of the script's own", function()
      local ok, why = pcall(coroutine.wrap(function() fiber.sleep(0) end))
      assert.is_false(ok)
      assert.truthy(tostring(why):find("coroutine", 1, true))
    end)
  end)
end
