#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "agent/daemon_mailbox.h"

using namespace ringagent;

TEST_CASE("mailbox: what many threads put in arrives once, on the loop, each thread's in its order") {
  uv_loop_t loop{};
  uv_loop_init(&loop);
  constexpr int kThreads = 4, kItems = 1000;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  const auto loop_thread = std::this_thread::get_id();
  Mailbox<std::pair<int, int>>* box = nullptr;
  Mailbox<std::pair<int, int>> mailbox(&loop, [&](std::pair<int, int> item) {
    CHECK(std::this_thread::get_id() == loop_thread);
    seen[static_cast<std::size_t>(item.first)].push_back(item.second);
    if (++total == kThreads * kItems) box->close();
  });
  box = &mailbox;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&mailbox, t] {
      for (int i = 0; i < kItems; ++i) mailbox.post({t, i});
    });
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  for (auto& thread : threads) thread.join();
  for (const auto& items : seen) {
    REQUIRE(items.size() == kItems);
    for (int i = 0; i < kItems; ++i) CHECK(items[static_cast<std::size_t>(i)] == i);
  }
  CHECK(uv_loop_close(&loop) == 0);
}

TEST_CASE("mailbox: nothing is delivered after it was closed") {
  uv_loop_t loop{};
  uv_loop_init(&loop);
  int delivered = 0;
  Mailbox<int> mailbox(&loop, [&](int) { ++delivered; });
  mailbox.post(1);
  mailbox.close();
  mailbox.close();
  mailbox.post(2);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(delivered == 0);
  CHECK(uv_loop_close(&loop) == 0);
}
