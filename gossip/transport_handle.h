#pragma once

#include <uv.h>

#include <memory>

namespace ringagent {

// A libuv handle with an owner. libuv lets go of a closed handle only in a later turn of the loop; so it
// lives on the heap, and giving up the pointer closes it and frees it when libuv is done. `data` is cleared
// at once: a callback that still comes finds no owner and does nothing.
struct UvClose {
  template <class H>
  void operator()(H* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) { delete reinterpret_cast<H*>(closed); });
  }
};
template <class H>
using UvHandle = std::unique_ptr<H, UvClose>;

// `init` must not fail (timers, TCP and UDP handles without flags cannot).
template <class H, class Init>
UvHandle<H> make_handle(uv_loop_t* loop, Init init, void* owner) {
  auto* handle = new H;
  init(loop, handle);
  handle->data = owner;
  return UvHandle<H>(handle);
}

}  // namespace ringagent
