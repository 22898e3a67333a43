#include "gossip/transport.h"

#include <algorithm>
#include <vector>

namespace ringagent {

namespace {

constexpr std::size_t kDatagramSlotBytes = 64 * 1024;  // libuv's size of one slot of recvmmsg
constexpr std::size_t kDatagramsAtOnce = 16;
constexpr int kReceiveBufferBytes = 1024 * 1024;  // a burst from every member of a large ring while we are in a step
constexpr int kBacklog = 128;
constexpr int kPortTries = 16;

bool any_address(const SocketAddress& at) {
  if (at.family() == AF_INET) return reinterpret_cast<const sockaddr_in*>(&at.storage)->sin_addr.s_addr == INADDR_ANY;
  return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&at.storage)->sin6_addr);
}

std::uint16_t& port_of(SocketAddress& at) {
  return reinterpret_cast<sockaddr_in*>(&at.storage)->sin_port;
}

Result<SocketAddress> resolve_now(uv_loop_t* loop, const Address& listen) {
  SocketAddress at;
  if (SocketAddress::parse(listen, at)) return at;
  uv_getaddrinfo_t request;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  const int status = uv_getaddrinfo(loop, &request, nullptr, listen.host.c_str(), nullptr, &hints);
  if (status != 0) {
    return fail("cannot listen on " + listen.str() + ": " + listen.host + " has no address (" + uv_strerror(status) +
                "); set [gossip] listen to an address of this host");
  }
  at = SocketAddress::from(request.addrinfo->ai_addr);
  port_of(at) = htons(listen.port);
  uv_freeaddrinfo(request.addrinfo);
  return at;
}

}  // namespace

// ---------------------------------------------------------------- opening

Transport::Transport(uv_loop_t* loop, int family, OnPacket on_packet, LogFunction log, const TransportLimits& limits)
    : loop_(loop),
      on_packet_(std::move(on_packet)),
      log_(std::move(log)),
      limits_(limits),
      resolver_(loop, family),
      budget_{limits.buffered_bytes, 0},
      datagrams_(new char[kDatagramSlotBytes * kDatagramsAtOnce]) {}

Transport::~Transport() = default;

Result<std::unique_ptr<Transport>> Transport::open(uv_loop_t* loop, const Address& listen, OnPacket on_packet,
                                                   LogFunction log, const TransportLimits& limits) {
  const auto at = resolve_now(loop, listen);
  if (!at) return tl::unexpected(at.error());
  std::unique_ptr<Transport> transport(new Transport(loop, at->family(), std::move(on_packet), std::move(log), limits));
  if (auto listening = transport->listen(*at); !listening) return tl::unexpected(listening.error());
  return transport;
}

// Both sockets on one port. Fills in the port where it was 0.
int Transport::bind_both(SocketAddress& at, const char*& what) {
  listener_ = make_handle<uv_tcp_t>(loop_, uv_tcp_init, this);
  udp_ = make_handle<uv_udp_t>(
      loop_, [](uv_loop_t* loop, uv_udp_t* udp) { uv_udp_init_ex(loop, udp, AF_UNSPEC | UV_UDP_RECVMMSG); }, this);
  what = "TCP";
  if (const int status = uv_tcp_bind(listener_.get(), at.get(), 0); status != 0) return status;
  const int status =
      uv_listen(reinterpret_cast<uv_stream_t*>(listener_.get()), kBacklog, [](uv_stream_t* handle, int error) {
        if (error == 0 && handle->data != nullptr) static_cast<Transport*>(handle->data)->accept();
      });
  if (status != 0) return status;
  int size = sizeof at.storage;
  uv_tcp_getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at.storage), &size);
  what = "UDP";
  return uv_udp_bind(udp_.get(), at.get(), 0);
}

Result<void> Transport::listen(SocketAddress at) {
  const bool any_port = port_of(at) == 0;
  const char* what = "";
  int status = bind_both(at, what);
  for (int i = 1; any_port && status == UV_EADDRINUSE && i < kPortTries; ++i) {
    port_of(at) = 0;  // somebody else has that number for UDP
    status = bind_both(at, what);
  }
  if (status != 0) {
    return fail("cannot listen on " + at.address().str() + " (" + what + "): " + uv_strerror(status) +
                (status == UV_EADDRINUSE ? "; is another agent running? Else set [gossip] listen to another port"
                                         : "; set [gossip] listen to an address of this host"));
  }
  local_ = at.address();
  bound_ = !any_address(at);
  source_ = at;
  port_of(source_) = 0;

  int receive_buffer = kReceiveBufferBytes;  // the kernel cuts it down to what it allows
  uv_recv_buffer_size(reinterpret_cast<uv_handle_t*>(udp_.get()), &receive_buffer);
  timer_ = make_handle<uv_timer_t>(loop_, uv_timer_init, this);
  status = uv_udp_recv_start(
      udp_.get(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* self = static_cast<Transport*>(handle->data);
        *buffer = uv_buf_init(self->datagrams_.get(), kDatagramSlotBytes * kDatagramsAtOnce);
      },
      [](uv_udp_t* handle, ssize_t size, const uv_buf_t* buffer, const sockaddr* from, unsigned flags) {
        if (handle->data != nullptr) static_cast<Transport*>(handle->data)->received(size, buffer, from, flags);
      });
  if (status != 0) return fail("cannot read from " + local_.str() + ": " + uv_strerror(status));
  return {};
}

// ---------------------------------------------------------------- datagrams

void Transport::received(ssize_t size, const uv_buf_t* buffer, const sockaddr* from, unsigned flags) {
  // Errors here are echoes of our own packets to ports that nobody listens on; an empty read ends a batch.
  if (size <= 0 || from == nullptr || (flags & UV_UDP_PARTIAL) != 0) return;
  on_packet_({buffer->base, static_cast<std::size_t>(size)}, SocketAddress::from(from).address());
}

void Transport::send(const Address& to, std::string packet) {
  if (packet.size() > limits_.frame_bytes) {
    return complain(to, "a packet of " + std::to_string(packet.size()) + " bytes is too long to be sent");
  }
  if (const auto at = inbound_.find(to); at != inbound_.end()) {
    if (!at->second->write(packet)) complain(to, "its queue is full");
    return;
  }
  resolver_.resolve(to, [this, to, packet = std::move(packet)](const SocketAddress* at) {
    if (at == nullptr) return complain(to, "its name is not known");
    packet.size() <= kDatagramBytesMax ? send_datagram(to, *at, packet) : send_stream(to, *at, packet);
  });
}

void Transport::send_datagram(const Address& to, const SocketAddress& at, std::string_view packet) {
  // try_send only reads the buffer, but takes it as uv_buf_t, which is not const.
  const uv_buf_t buffer = uv_buf_init(const_cast<char*>(packet.data()), static_cast<unsigned>(packet.size()));
  const int status = uv_udp_try_send(udp_.get(), &buffer, 1, at.get());
  if (status < 0) complain(to, uv_strerror(status));
}

// ---------------------------------------------------------------- streams

StreamLimits Transport::stream_limits() const {
  return {limits_.frame_bytes, limits_.queued_bytes, limits_.connect_ms,
          limits_.frame_ms,    limits_.idle_ms,      limits_.unacknowledged_ms};
}

void Transport::send_stream(const Address& to, const SocketAddress& at, std::string_view packet) {
  auto stream = outbound_.find(to);
  if (stream == outbound_.end()) {
    if (outbound_.size() >= limits_.streams_out) return complain(to, "too many streams are open");
    int error = 0;
    StreamPtr opened = Stream::connect(loop_, at, bound_ ? &source_ : nullptr, stream_limits(), budget_, error);
    if (!opened) return complain(to, uv_strerror(error));
    keep(outbound_, to, std::move(opened));
    stream = outbound_.find(to);
  }
  if (!stream->second->write(packet)) complain(to, "its queue is full");
}

void Transport::accept() {
  if (inbound_.size() >= limits_.streams_in) make_room();
  int error = 0;
  StreamPtr stream = Stream::accept(reinterpret_cast<uv_stream_t*>(listener_.get()), stream_limits(), budget_, error);
  if (!stream) return;  // it was gone before we looked
  const Address peer = stream->remote().address();
  keep(inbound_, peer, std::move(stream));
}

// Those that have never sent a frame go first, the oldest of them first: a flood of empty connections pushes out its
// own.
void Transport::make_room() {
  const auto worth = [](const auto& entry) {
    return std::make_pair(entry.second->last_frame_ms(), entry.second->opened_ms());
  };
  const auto least = std::min_element(inbound_.begin(), inbound_.end(),
                                      [&](const auto& a, const auto& b) { return worth(a) < worth(b); });
  complain({least->first.host, 0}, "too many streams are open, closing one that says nothing");
  inbound_.erase(least);
}

void Transport::keep(std::map<Address, StreamPtr>& streams, const Address& peer, StreamPtr stream) {
  Stream* it = stream.get();
  it->set_events({[this, peer](std::string_view frame) { on_packet_(frame, peer); },
                  [this, peer, &streams](const std::string& why) {
                    const bool ours = &streams == &outbound_;
                    if (!why.empty()) complain(ours ? peer : Address{peer.host, 0}, why);
                    streams.erase(peer);
                  }});
  streams[peer] = std::move(stream);
  watch_times();
}

// ---------------------------------------------------------------- limits

void Transport::watch_times() {
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(timer_.get())) != 0) return;
  const std::uint64_t least = std::min({limits_.connect_ms, limits_.frame_ms, limits_.idle_ms});
  const std::uint64_t period = std::clamp<std::uint64_t>(least / 4, 10, 500);
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* timer) {
        if (timer->data != nullptr) static_cast<Transport*>(timer->data)->check_times();
      },
      period, period);
}

void Transport::check_times() {
  for (auto* streams : {&inbound_, &outbound_}) {
    // A stream that ends takes itself out of the map.
    for (auto at = streams->begin(); at != streams->end();) (at++)->second->check_times();
  }
  if (streams() == 0) uv_timer_stop(timer_.get());
}

bool Transport::Complaints::due(const std::string& about, std::uint64_t now_ms, std::uint64_t every_ms,
                                std::uint64_t& untold) {
  const auto at = last_.find(about);
  if (at == last_.end()) {
    if (last_.size() == kMax) last_.clear();
    last_[about] = {now_ms, 0};
    untold = 0;
    return true;
  }
  if (now_ms - at->second.at_ms < every_ms) {
    ++at->second.untold;
    return false;
  }
  untold = at->second.untold;
  at->second = {now_ms, 0};
  return true;
}

void Transport::complain(const Address& peer, const std::string& what) {
  std::uint64_t untold = 0;
  const std::string about = peer.port == 0 ? peer.host : peer.str();
  if (!log_ || !complaints_.due(about, uv_now(loop_), limits_.log_every_ms, untold)) return;
  log_(LogLevel::warning,
       "gossip with " + about + ": " + what +
           (untold == 0 ? "" : " (and " + std::to_string(untold) + " times more since the last line)"));
}

}  // namespace ringagent
