#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "gossip/log.h"
#include "gossip/message.h"
#include "gossip/transport_handle.h"
#include "gossip/transport_resolver.h"
#include "gossip/transport_stream.h"

// Packets to and from other agents: datagrams where they fit, framed TCP where they do not, on one port number.
//
// Intuition: a postbox. `send` never waits and promises nothing; what arrives, arrives whole. A peer that is dead, a
// name that does not resolve, a queue that is full: the packet is gone, and what is above asks again.
//
// Which way a packet takes: to the far end of a stream that a peer has opened to us, back through it; up to
// kDatagramBytesMax as one UDP datagram, sent from the port that we listen on; else over a stream to that peer, which
// is opened at need, kept, and closed when idle.
//
// Invariants:
//  - nothing here blocks; every queue, the number of streams that others open, and what they make us buffer are capped.
//    Where too many streams are open, the one that has gone longest without a whole frame gives way;
//  - what is read is not trusted: it goes to the callback as bytes, which authenticates before it parses;
//  - trouble with a peer is logged once in log_every_ms at most, and the next line says how often it happened.
//
// All calls from the loop's thread. The callback may call `send`, but must not destroy the transport. After
// destruction the loop must turn once more to free the handles. Source: libuv 1.44, the guide to its UDP and TCP handles.
namespace ringagent {

struct TransportLimits {
  std::size_t frame_bytes = kMessageBytesMax + 1024;         // the envelope is far below 1 KB
  std::size_t queued_bytes = 2 * (kMessageBytesMax + 1024);  // to one peer
  std::size_t streams_in = 256;
  std::size_t streams_out = 1024;
  std::size_t buffered_bytes = 32 * 1024 * 1024;  // incomplete frames of all streams together
  std::uint64_t connect_ms = 3'000;
  std::uint64_t frame_ms = 20'000;
  std::uint64_t idle_ms = 30'000;
  std::uint64_t unacknowledged_ms = 3'000;
  std::uint64_t log_every_ms = 60'000;
};

class Transport {
 public:
  using OnPacket = std::function<void(std::string_view packet, const Address& from)>;

  // Listens on `listen`, a name or a literal (looked up here and now, which may take a moment); port 0 takes a free
  // one. One clear line if that fails.
  static Result<std::unique_ptr<Transport>> open(uv_loop_t* loop, const Address& listen, OnPacket on_packet,
                                                 LogFunction log, const TransportLimits& limits = {});
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  void send(const Address& to, std::string packet);

  const Address& local() const { return local_; }
  std::size_t streams() const { return inbound_.size() + outbound_.size(); }

 private:
  // At most one line about a peer in a while.
  class Complaints {
   public:
    bool due(const std::string& about, std::uint64_t now_ms, std::uint64_t every_ms, std::uint64_t& untold);

   private:
    static constexpr std::size_t kMax = 1024;
    struct Last {
      std::uint64_t at_ms;
      std::uint64_t untold;
    };
    std::map<std::string, Last> last_;
  };

  Transport(uv_loop_t* loop, int family, OnPacket on_packet, LogFunction log, const TransportLimits& limits);
  Result<void> listen(SocketAddress at);
  int bind_both(SocketAddress& at, const char*& what);

  void received(ssize_t size, const uv_buf_t* buffer, const sockaddr* from, unsigned flags);
  void accept();
  void make_room();
  void send_datagram(const Address& to, const SocketAddress& at, std::string_view packet);
  void send_stream(const Address& to, const SocketAddress& at, std::string_view packet);
  void keep(std::map<Address, StreamPtr>& streams, const Address& peer, StreamPtr stream);
  void check_times();
  void watch_times();
  void complain(const Address& peer, const std::string& what);
  StreamLimits stream_limits() const;

  uv_loop_t* loop_;
  OnPacket on_packet_;
  LogFunction log_;
  TransportLimits limits_;
  Resolver resolver_;
  Complaints complaints_;
  StreamBudget budget_;
  Address local_;
  SocketAddress source_;  // of streams that we open; only if `bound_`
  bool bound_ = false;    // we listen on one address, not on all
  std::unique_ptr<char[]> datagrams_;

  UvHandle<uv_udp_t> udp_;
  UvHandle<uv_tcp_t> listener_;
  UvHandle<uv_timer_t> timer_;
  std::map<Address, StreamPtr> inbound_;   // by the far end
  std::map<Address, StreamPtr> outbound_;  // by the peer's listening address
};

}  // namespace ringagent
