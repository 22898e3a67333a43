#pragma once

#include <uv.h>

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "gossip/transport_handle.h"

// How other threads reach the loop: a queue behind a mutex and a uv_async that wakes it.
//
// Invariants: what was put in is taken out once, in order, on the loop's thread; `post` never blocks for longer than
// another `post` takes; nothing is delivered after `close`. The queue is bounded by those who post: the workers hold
// a bounded number of jobs, the API a bounded number of commands.
namespace ringagent {

template <class T>
class Mailbox {
 public:
  // On the loop's thread.
  Mailbox(uv_loop_t* loop, std::function<void(T)> deliver)
      : deliver_(std::move(deliver)), async_(make_handle<uv_async_t>(loop, init, this)) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // From any thread.
  void post(T item) {
    const std::lock_guard lock(mutex_);
    if (!async_) return;
    items_.push_back(std::move(item));
    uv_async_send(async_.get());
  }

  // On the loop's thread.
  void close() {
    const std::lock_guard lock(mutex_);
    async_.reset();
    items_.clear();
  }

 private:
  static int init(uv_loop_t* loop, uv_async_t* async) {
    return uv_async_init(loop, async, [](uv_async_t* woken) {
      if (woken->data) static_cast<Mailbox*>(woken->data)->drain();
    });
  }

  void drain() {
    std::vector<T> items;
    {
      const std::lock_guard lock(mutex_);
      items.swap(items_);
    }
    for (T& item : items) deliver_(std::move(item));
  }

  const std::function<void(T)> deliver_;
  std::mutex mutex_;
  std::vector<T> items_;
  UvHandle<uv_async_t> async_;
};

}  // namespace ringagent
