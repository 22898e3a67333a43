#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gossip/transport_handle.h"
#include "gossip/transport_resolver.h"

// One TCP connection that carries frames: a 32-bit big-endian length, then that many bytes.
//
// Intuition: both sides may close it at any time and nothing is lost that was not lost anyway, for above us
// everything is asked again. So there is no reconnecting and no queue that outlives the connection; what
// matters is that nobody can make us hold on to one.
//
// Invariants:
//  - a frame longer than frame_bytes closes the stream before anything is allocated for it; memory grows only
//  with
//    bytes that have arrived;
//  - a frame that is not complete frame_ms after its first byte closes the stream, as does a connect that
//  takes longer
//    than connect_ms, a queue of which nothing is taken for frame_ms, and silence of idle_ms;
//  - what is written but not acknowledged for unacknowledged_ms breaks the connection (TCP_USER_TIMEOUT):
//  after a
//    partition has healed nobody waits for a retransmission timer of minutes.
namespace ringagent {

struct StreamLimits {
  std::size_t frame_bytes;
  std::size_t queued_bytes;  // written but not yet taken by the kernel
  std::uint64_t connect_ms;
  std::uint64_t frame_ms;
  std::uint64_t idle_ms;
  std::uint64_t unacknowledged_ms;
};

// What the incomplete frames of all streams of one owner may take together. It outlives the streams.
struct StreamBudget {
  std::size_t max;
  std::size_t used = 0;
};

class Stream;
struct StreamClose {
  void operator()(Stream* stream) const;
};
// Giving it up closes the connection; neither callback is called afterwards.
using StreamPtr = std::unique_ptr<Stream, StreamClose>;

class Stream {
 public:
  struct Events {
    std::function<void(std::string_view frame)> frame;
    std::function<void(const std::string& why)> ended;  // by the other side or by a limit; give the pointer up here
  };

  // Null, with `error` (of libuv) set, where the socket cannot even be made. `source` may be null.
  static StreamPtr accept(uv_stream_t* listener, const StreamLimits& limits, StreamBudget& budget, int& error);
  static StreamPtr connect(uv_loop_t* loop, const SocketAddress& to, const SocketAddress* source,
                           const StreamLimits& limits, StreamBudget& budget, int& error);
  void set_events(Events events) { events_ = std::move(events); }

  // False: too much is queued already, the frame is dropped.
  bool write(std::string_view packet);
  // Ends the stream if one of its times is over.
  void check_times();

  SocketAddress remote() const;
  std::uint64_t last_frame_ms() const { return last_frame_ms_; }  // 0: none yet
  std::uint64_t opened_ms() const { return opened_ms_; }

 private:
  friend struct StreamClose;
  struct Write;

  Stream(uv_loop_t* loop, const StreamLimits& limits, StreamBudget& budget);
  void start_reading();
  void received(std::string_view bytes);
  void charge(std::size_t bytes);  // what of the budget this stream uses from now on
  void end(const std::string& why);
  std::uint64_t now() const { return uv_now(handle_.loop); }

  uv_tcp_t handle_;
  StreamLimits limits_;
  StreamBudget& budget_;
  std::size_t charged_ = 0;
  Events events_;
  std::string in_;
  std::size_t queued_ = 0;
  std::uint64_t queued_since_ms_ = 0;  // the kernel has taken nothing of the queue since then
  bool connected_ = false;
  bool closing_ = false;
  std::uint64_t opened_ms_ = 0;
  std::uint64_t frame_since_ms_ = 0;  // the first byte of the incomplete frame came then; 0: there is none
  std::uint64_t last_frame_ms_ = 0;
  std::uint64_t active_ms_ = 0;
};

}  // namespace ringagent
