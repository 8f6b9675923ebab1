"""Hits that arrive together are all read before the first of them is decided about."""

import asyncio

from pixeltwin.proxy.turns import in_the_next_turn


async def test_work_begins_with_the_next_turn_though_the_loop_begins_tasks_at_once() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    begun = []

    async def work() -> None:
        begun.append("work")

    task = in_the_next_turn(work())
    assert begun == []
    await asyncio.sleep(0)
    assert begun == ["work"]
    await task
