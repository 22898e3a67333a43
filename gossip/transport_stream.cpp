#include "gossip/transport_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "gossip/big_endian.h"

namespace ringagent {

namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kKeepBytes = 64 * 1024;  // of a buffer that has grown; more is given back

}  // namespace

struct Stream::Write {
  uv_write_t request;
  std::string bytes;
};

Stream::Stream(uv_loop_t* loop, const StreamLimits& limits, StreamBudget& budget)
    : limits_(limits), budget_(budget), opened_ms_(uv_now(loop)) {
  active_ms_ = opened_ms_;
  uv_tcp_init(loop, &handle_);
  handle_.data = this;
}

void StreamClose::operator()(Stream* stream) const {
  stream->closing_ = true;
  stream->charge(0);
  uv_close(reinterpret_cast<uv_handle_t*>(&stream->handle_),
           [](uv_handle_t* handle) { delete static_cast<Stream*>(handle->data); });
}

StreamPtr Stream::accept(uv_stream_t* listener, const StreamLimits& limits, StreamBudget& budget, int& error) {
  StreamPtr stream(new Stream(listener->loop, limits, budget));
  error = uv_accept(listener, reinterpret_cast<uv_stream_t*>(&stream->handle_));
  if (error != 0) return nullptr;
  stream->start_reading();
  return stream;
}

StreamPtr Stream::connect(uv_loop_t* loop, const SocketAddress& to, const SocketAddress* source,
                          const StreamLimits& limits, StreamBudget& budget, int& error) {
  StreamPtr stream(new Stream(loop, limits, budget));
  error = source == nullptr ? 0 : uv_tcp_bind(&stream->handle_, source->get(), 0);
  if (error != 0) return nullptr;
  auto* request = new uv_connect_t;
  error = uv_tcp_connect(request, &stream->handle_, to.get(), [](uv_connect_t* done, int status) {
    auto* self = static_cast<Stream*>(done->handle->data);
    delete done;
    if (self->closing_) return;
    if (status == 0 && connected_to_itself(self->handle_)) status = UV_ECONNREFUSED;
    if (status != 0) return self->end(std::string("cannot connect: ") + uv_strerror(status));
    self->start_reading();
  });
  if (error != 0) {
    delete request;
    return nullptr;
  }
  return stream;
}

void Stream::start_reading() {
  connected_ = true;
  active_ms_ = now();
  uv_tcp_nodelay(&handle_, 1);
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_), &fd) == 0) {
    const auto timeout = static_cast<unsigned>(limits_.unacknowledged_ms);
    // Where the kernel does not know it, connections only end later.
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
  }
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&handle_),
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        // One loop, one thread, and each read is consumed before the next begins.
        static thread_local char bytes[kReadBytes];
        *buffer = uv_buf_init(bytes, sizeof bytes);
      },
      [](uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
        auto* self = static_cast<Stream*>(handle->data);
        if (self->closing_ || size == 0) return;
        if (size == UV_EOF) return self->end(self->in_.empty() ? "" : "closed in the middle of a frame");
        if (size < 0) return self->end(uv_strerror(static_cast<int>(size)));
        self->received({buffer->base, static_cast<std::size_t>(size)});
      });
}

void Stream::received(std::string_view bytes) {
  active_ms_ = now();
  in_.append(bytes);
  std::size_t at = 0;
  while (in_.size() - at >= kLengthBytes) {
    const std::uint64_t length = number_at(in_, at, kLengthBytes);
    if (length > limits_.frame_bytes) return end("a frame of " + std::to_string(length) + " bytes is too long");
    if (in_.size() - at - kLengthBytes < length) break;
    last_frame_ms_ = active_ms_;
    events_.frame(std::string_view(in_).substr(at + kLengthBytes, length));
    if (closing_) return;
    at += kLengthBytes + length;
  }
  in_.erase(0, at);
  if (in_.empty() && in_.capacity() > kKeepBytes) in_.shrink_to_fit();
  if (in_.empty()) {
    frame_since_ms_ = 0;
  } else if (at > 0 || frame_since_ms_ == 0) {
    frame_since_ms_ = active_ms_;
  }
  charge(in_.size());
  if (budget_.used > budget_.max) end("too many unfinished frames");
}

void Stream::charge(std::size_t bytes) {
  budget_.used += bytes - charged_;  // modulo 2^64: the sum of what all streams use is never negative
  charged_ = bytes;
}

bool Stream::write(std::string_view packet) {
  if (closing_ || queued_ + packet.size() > limits_.queued_bytes) return false;
  auto* write = new Write;
  append_number(write->bytes, packet.size(), kLengthBytes);
  write->bytes.append(packet);
  write->request.data = write;
  const uv_buf_t buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  active_ms_ = now();
  if (queued_ == 0) queued_since_ms_ = active_ms_;
  queued_ += packet.size();
  const int status = uv_write(&write->request, reinterpret_cast<uv_stream_t*>(&handle_), &buffer, 1,
                              [](uv_write_t* request, int result) {
                                auto* done = static_cast<Write*>(request->data);
                                auto* self = static_cast<Stream*>(request->handle->data);
                                self->queued_ -= done->bytes.size() - kLengthBytes;
                                delete done;
                                if (self->closing_) return;
                                if (result != 0) return self->end(uv_strerror(result));
                                self->active_ms_ = self->now();
                              });
  if (status == 0) return true;
  queued_ -= packet.size();
  delete write;
  return false;
}

void Stream::check_times() {
  const std::uint64_t t = now();
  if (!connected_ && t - opened_ms_ >= limits_.connect_ms) return end("cannot connect: no answer");
  if (frame_since_ms_ != 0 && t - frame_since_ms_ >= limits_.frame_ms) return end("a frame took too long");
  if (queued_ > 0 && t - queued_since_ms_ >= limits_.frame_ms) return end("takes nothing");
  if (t - active_ms_ >= limits_.idle_ms) end("");
}

void Stream::end(const std::string& why) {
  // The event gives up the pointer that keeps this stream open; libuv keeps the memory until its next turn.
  const auto ended = std::move(events_.ended);
  ended(why);
}

SocketAddress Stream::remote() const {
  SocketAddress out;
  int size = sizeof out.storage;
  uv_tcp_getpeername(&handle_, reinterpret_cast<sockaddr*>(&out.storage), &size);
  return out;
}

}  // namespace ringagent
