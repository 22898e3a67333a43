#pragma once

#include <uv.h>

#include <cstring>
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

// A connect to a port of this host on which nobody listens may by chance take that very port as its own, and then TCP
// connects the socket to itself. That is a refusal which the kernel missed.
inline bool connected_to_itself(const uv_tcp_t& handle) {
  sockaddr_storage near{};
  sockaddr_storage far{};
  int near_size = sizeof near;
  int far_size = sizeof far;
  return uv_tcp_getsockname(&handle, reinterpret_cast<sockaddr*>(&near), &near_size) == 0 &&
         uv_tcp_getpeername(&handle, reinterpret_cast<sockaddr*>(&far), &far_size) == 0 &&
         std::memcmp(&near, &far, sizeof near) == 0;
}

}  // namespace ringagent
