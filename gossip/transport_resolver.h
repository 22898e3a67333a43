#pragma once

#include <netinet/in.h>
#include <uv.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/types.h"

// Host names to socket addresses, without ever waiting.
//
// Intuition: a literal or a name that is known answers at once. Anything else is looked up in libuv's pool,
// at most kLookupsMax at a time, for a name server that does not answer must not take the whole pool. A name
// that was found once is used for ever: a newer answer replaces it, a failing name server does not take it
// away.
namespace ringagent {

// An IPv4 or IPv6 address and port as the kernel wants it.
struct SocketAddress {
  sockaddr_storage storage{};
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  // As people write it; an IPv4 address within IPv6 (::ffff:10.0.0.1) as what it is.
  Address address() const;
  static SocketAddress from(const sockaddr* address);
  // An address literal; false: a host name.
  static bool parse(const Address& address, SocketAddress& out);
};

class Resolver {
 public:
  static constexpr std::size_t kLookupsMax = 2;
  static constexpr std::size_t kHostsMax = 2048;
  static constexpr std::size_t kWaitingMax = 64;  // callers for one name; a further one is told no

  using Found = std::function<void(const SocketAddress*)>;  // null: not known

  // `family` is that of the socket that the answers are for: AF_INET takes only such, AF_INET6 takes IPv4 as
  // mapped addresses too, AF_UNSPEC takes what comes first.
  Resolver(uv_loop_t* loop, int family) : loop_(loop), family_(family) {}
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `found` exactly once, before it returns or later; not at all after the resolver is gone.
  void resolve(const Address& address, Found found);

 private:
  struct Caller {
    std::uint16_t port;
    Found found;
  };
  struct Host {
    bool known = false;
    bool looking = false;  // a lookup runs or is queued
    SocketAddress address;
    std::uint64_t fresh_until_ms = 0;
    std::vector<Caller> waiting;
  };
  struct Lookup;

  bool suits(SocketAddress& address) const;
  void look_up(const std::string& name);
  void start_queued();
  void finished(Lookup* lookup, int status, const addrinfo* list);
  static void answer(const Host& host, const Caller& caller);

  uv_loop_t* loop_;
  int family_;
  std::map<std::string, Host> hosts_;
  std::deque<std::string> queue_;
  std::vector<Lookup*> running_;
};

}  // namespace ringagent
