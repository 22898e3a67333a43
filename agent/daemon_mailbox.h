#pragma once

#include <uv.h>

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

// How other threads reach the loop: a queue behind a mutex and a uv_async that wakes it.
//
// Invariants: what was put in is taken out once, in order, on the loop's thread; `post` never blocks for
// longer than another `post` takes; nothing is delivered after `close`. The queue is bounded by those who
// post: the workers hold a bounded number of jobs, the API a bounded number of commands.
namespace ringagent {

template <class T>
class Mailbox {
 public:
  Mailbox(uv_loop_t* loop, std::function<void(T)> deliver) : deliver_(std::move(deliver)) {
    uv_async_init(loop, &async_, [](uv_async_t* async) { static_cast<Mailbox*>(async->data)->drain(); });
    async_.data = this;
  }
  // `close`d before, and the loop has run since.
  ~Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // From any thread.
  void post(T item) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    items_.push_back(std::move(item));
    uv_async_send(&async_);
  }

  // From the loop.
  void close() {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  }

 private:
  void drain() {
    std::vector<T> items;
    {
      const std::lock_guard lock(mutex_);
      items.swap(items_);
    }
    for (T& item : items) deliver_(std::move(item));
  }

  const std::function<void(T)> deliver_;
  uv_async_t async_{};
  std::mutex mutex_;
  std::vector<T> items_;
  bool closed_ = false;
};

}  // namespace ringagent
