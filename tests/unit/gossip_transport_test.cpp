#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gossip/transport.h"
#include "gossip_loop.h"

using namespace ringagent;
using test::Loop;
using test::Socket;

namespace {

const Address kAnyPort{"127.0.0.1", 0};

struct Peer {
  std::vector<std::string> packets;
  std::vector<Address> from;
  std::vector<std::string> log;
  std::unique_ptr<Transport> transport;

  Peer(Loop& loop, const TransportLimits& limits = {}, const Address& listen = kAnyPort) {
    auto opened = Transport::open(
        loop.get(), listen,
        [this](std::string_view packet, const Address& sender) {
          packets.emplace_back(packet);
          from.push_back(sender);
        },
        [this](LogLevel, const std::string& line) { log.push_back(line); }, limits);
    REQUIRE_MESSAGE(opened.has_value(), opened.error().text);
    transport = std::move(*opened);
  }
  void send(const Address& to, std::string packet) { transport->send(to, std::move(packet)); }
  const Address& at() const { return transport->local(); }
  bool got(const std::string& packet) const {
    return std::find(packets.begin(), packets.end(), packet) != packets.end();
  }
  bool logged(const std::string& part) const {
    return std::any_of(log.begin(), log.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
};

std::string frame(const std::string& packet) {
  std::string out = {static_cast<char>(packet.size() >> 24U), static_cast<char>(packet.size() >> 16U),
                     static_cast<char>(packet.size() >> 8U), static_cast<char>(packet.size())};
  return out + packet;
}

TransportLimits quick() {
  TransportLimits limits;
  limits.connect_ms = 200;
  limits.frame_ms = 200;
  limits.idle_ms = 400;
  return limits;
}

}  // namespace

TEST_CASE("transport: a small packet is one datagram from the port that the sender listens on") {
  Loop loop;
  Peer a(loop), b(loop);
  CHECK(a.at().port != 0);
  a.send(b.at(), "hello");
  REQUIRE(loop.until([&] { return b.got("hello"); }));
  CHECK(b.from[0] == a.at());
  CHECK(a.transport->streams() == 0);
  b.send(b.from[0], "hello yourself");
  CHECK(loop.until([&] { return a.got("hello yourself"); }));
}

TEST_CASE("transport: what exceeds a datagram goes over one stream, which is kept") {
  Loop loop;
  Peer a(loop), b(loop);
  const std::string at_limit(kDatagramBytesMax, 'd');
  a.send(b.at(), at_limit);
  REQUIRE(loop.until([&] { return b.got(at_limit); }));
  CHECK(a.transport->streams() == 0);
  std::vector<std::string> large;
  for (const std::size_t size : {kDatagramBytesMax + 1, std::size_t{70'000}, kMessageBytesMax + 65}) {
    large.emplace_back(size, static_cast<char>('a' + large.size()));
    a.send(b.at(), large.back());
  }
  REQUIRE(loop.until([&] { return b.packets.size() == 4; }));
  for (std::size_t i = 0; i < large.size(); ++i) CHECK(b.packets[i + 1] == large[i]);
  CHECK(a.transport->streams() == 1);
  CHECK(b.transport->streams() == 1);
  CHECK(a.log.empty());
}

TEST_CASE("transport: who came over a stream is answered over it, whatever the size") {
  Loop loop;
  Peer a(loop), b(loop);
  a.send(b.at(), std::string(5000, 'q'));
  REQUIRE(loop.until([&] { return b.packets.size() == 1; }));
  CHECK(b.from[0].host == "127.0.0.1");
  CHECK(b.from[0] != a.at());
  b.send(b.from[0], "small answer");
  b.send(b.from[0], std::string(5000, 'r'));
  REQUIRE(loop.until([&] { return a.packets.size() == 2; }));
  CHECK(a.from[0] == b.at());
  CHECK(b.transport->streams() == 1);
}

TEST_CASE("transport: a burst of datagrams is drained, none is lost on the way to us") {
  Loop loop;
  Peer a(loop), b(loop);
  for (int i = 0; i < 150; ++i) a.send(b.at(), "packet " + std::to_string(i));
  REQUIRE(loop.until([&] { return b.packets.size() == 150; }));
  CHECK(b.packets.back() == "packet 149");
}

TEST_CASE("transport: an empty datagram from a stranger is no packet") {
  Loop loop;
  Peer a(loop);
  Socket stranger(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  stranger.connect(a.at());
  ::send(stranger.fd(), "", 0, 0);
  stranger.say("after");
  REQUIRE(loop.until([&] { return a.got("after"); }));
  CHECK(a.packets.size() == 1);
}

TEST_CASE("transport: host names are looked up on the side, literals at once") {
  Loop loop;
  Peer a(loop), b(loop);
  a.send({"localhost", b.at().port}, "by name");
  REQUIRE(loop.until([&] { return b.got("by name"); }));
  a.send({"localhost", b.at().port}, std::string(3000, 'n'));
  REQUIRE(loop.until([&] { return b.packets.size() == 2; }));
  a.send({"no-such-host.invalid", 7946}, "x");
  REQUIRE(loop.until([&] { return a.logged("no-such-host.invalid:7946: its name is not known"); }));
}

TEST_CASE("transport: over IPv6, and to both families from a socket for all addresses") {
  Loop loop;
  Peer four(loop);
  Peer all(loop, {}, {"::", 0});
  Peer six(loop, {}, {"::1", 0});
  const Address all_by_four{"127.0.0.1", all.at().port};
  const Address all_by_six{"::1", all.at().port};
  four.send(all_by_four, "from four");
  six.send(all_by_six, "from six");
  REQUIRE(loop.until([&] { return all.packets.size() == 2; }));
  for (std::size_t i = 0; i < 2; ++i) CHECK(all.from[i] == (all.packets[i] == "from four" ? four.at() : six.at()));
  all.send(four.at(), "to four");
  all.send(six.at(), "to six");
  all.send(four.at(), std::string(3000, '4'));
  all.send(six.at(), std::string(3000, '6'));
  REQUIRE(loop.until([&] { return four.packets.size() == 2 && six.packets.size() == 2; }));
  CHECK(four.from[0] == all_by_four);
  CHECK(six.from[0] == all_by_six);
  // A socket of the one family has no way to the other, and says so instead of crashing.
  four.send(six.at(), "x");
  CHECK(four.logged("its name is not known"));
}

TEST_CASE("transport: a peer that is gone costs one line a minute, whatever is sent to it") {
  Loop loop;
  TransportLimits limits;
  limits.log_every_ms = 300;
  Peer a(loop, limits);
  Address gone;
  {
    Socket closed;
    gone = closed.bind(false);
  }
  for (int i = 0; i < 20; ++i) {
    a.send(gone, "datagram");
    a.send(gone, std::string(3000, 's'));
    REQUIRE(loop.until([&] { return a.transport->streams() == 0; }));
  }
  REQUIRE(a.log.size() == 1);
  CHECK(a.logged(gone.str() + ": cannot connect: connection refused"));
  REQUIRE(loop.until([&] {
    a.send(gone, std::string(3000, 's'));
    return a.log.size() == 2;
  }));
  CHECK(a.logged("times more since the last line"));
}

TEST_CASE("transport: a peer that comes back is reached without further ado") {
  Loop loop;
  Peer a(loop);
  auto b = std::make_unique<Peer>(loop);
  const Address at = b->at();
  a.send(at, std::string(3000, '1'));
  REQUIRE(loop.until([&] { return b->packets.size() == 1; }));
  b.reset();
  REQUIRE(loop.until([&] { return a.transport->streams() == 0; }));
  b = std::make_unique<Peer>(loop, TransportLimits{}, at);
  a.send(at, std::string(3000, '2'));
  CHECK(loop.until([&] { return b->packets.size() == 1; }));
  CHECK(a.log.empty());  // a peer that closes is nothing to talk about
}

TEST_CASE("transport: a peer that takes the connection and nothing else blocks nobody, and its queue is capped") {
  Loop loop;
  TransportLimits limits;  // the long ones for connecting: making the packets keeps the loop busy for a while
  limits.frame_ms = 200;
  limits.queued_bytes = 8 * 1024 * 1024;
  limits.unacknowledged_ms = 60'000;
  limits.log_every_ms = 0;
  Peer a(loop, limits), b(loop);
  Socket deaf;
  const int small = 4096;
  ::setsockopt(deaf.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const Address at = deaf.bind(true);
  for (int i = 0; i < 5; ++i) a.send(at, std::string(4'000'000, 'x'));
  CHECK(a.logged("its queue is full"));
  a.send(b.at(), "others are served");
  REQUIRE(loop.until([&] { return b.got("others are served"); }));
  CHECK(loop.until([&] { return a.transport->streams() == 0; }));  // and the deaf one is left
  CHECK(a.logged("takes nothing"));
}

TEST_CASE("transport: what is idle is closed on both sides") {
  Loop loop;
  Peer a(loop, quick()), b(loop);
  a.send(b.at(), std::string(3000, 'x'));
  REQUIRE(loop.until([&] { return b.transport->streams() == 1; }));
  CHECK(loop.until([&] { return a.transport->streams() == 0 && b.transport->streams() == 0; }));
  // And once the timers have noticed, nothing wakes the loop any more.
  for (int turns = 0; turns < 20 && uv_backend_timeout(loop.get()) != -1; ++turns) uv_run(loop.get(), UV_RUN_ONCE);
  CHECK(uv_backend_timeout(loop.get()) == -1);
  CHECK(a.log.empty());
  CHECK(b.log.empty());
}

TEST_CASE("transport: a stranger cannot announce a frame that is too long") {
  Loop loop;
  Peer a(loop);
  Socket stranger;
  stranger.connect(a.at());
  REQUIRE(loop.until([&] { return stranger.say(std::string("\xFF\xFF\xFF\xFF", 4)); }));
  REQUIRE(loop.until([&] { return stranger.closed(); }));
  CHECK(a.logged("a frame of 4294967295 bytes is too long"));
  // One byte above the limit is too long, the limit itself is waited for.
  TransportLimits limits;
  limits.frame_bytes = 100;
  Peer b(loop, limits);
  Socket exact, above;
  exact.connect(b.at());
  above.connect(b.at());
  REQUIRE(loop.until([&] { return b.transport->streams() == 2; }));
  exact.say(frame(std::string(100, 'e')));
  above.say(frame(std::string(101, 'a')));
  REQUIRE(loop.until([&] { return above.closed() && b.packets.size() == 1; }));
  CHECK(b.packets[0] == std::string(100, 'e'));
}

TEST_CASE("transport: frames arrive whole, however they were cut") {
  Loop loop;
  Peer a(loop);
  Socket sender;
  sender.connect(a.at());
  REQUIRE(loop.until([&] { return a.transport->streams() == 1; }));
  const std::string bytes = frame("one") + frame("") + frame("three");
  std::size_t said = 0;
  REQUIRE(loop.until([&] {
    if (said < bytes.size()) sender.say(bytes.substr(said++, 1));
    return a.packets.size() == 3;
  }));
  CHECK(a.packets == std::vector<std::string>{"one", "", "three"});
  sender.say(frame("four") + frame("five") + std::string(1, '\0'));
  REQUIRE(loop.until([&] { return a.packets.size() == 5; }));
}

TEST_CASE("transport: nobody holds a stream open by dripping, nor by saying nothing") {
  Loop loop;
  TransportLimits limits = quick();
  Peer a(loop, limits);
  Socket dripper, silent;
  dripper.connect(a.at());
  silent.connect(a.at());
  REQUIRE(loop.until([&] { return a.transport->streams() == 2; }));
  dripper.say(frame(std::string(1'000'000, 'x')).substr(0, 10));
  REQUIRE(loop.until([&] {
    dripper.say("x");  // every turn of the loop: never idle, never whole
    return dripper.closed();
  }));
  CHECK(a.logged("a frame took too long"));
  CHECK(loop.until([&] { return silent.closed(); }));
}

TEST_CASE("transport: too many streams: those that never said anything give way, working ones stay") {
  Loop loop;
  TransportLimits limits;
  limits.streams_in = 3;
  Peer a(loop, limits);
  Socket worker;
  worker.connect(a.at());
  REQUIRE(loop.until([&] { return a.transport->streams() == 1; }));
  worker.say(frame("work"));
  REQUIRE(loop.until([&] { return a.got("work"); }));
  std::vector<Socket> flood(8);
  for (auto& socket : flood) socket.connect(a.at());
  REQUIRE(loop.until(
      [&] { return std::count_if(flood.begin(), flood.end(), [](Socket& socket) { return socket.closed(); }) == 6; }));
  CHECK(a.transport->streams() == 3);
  CHECK_FALSE(worker.closed());
  worker.say(frame("still here"));
  CHECK(loop.until([&] { return a.got("still here"); }));
  CHECK(a.log.size() == 1);
}

TEST_CASE("transport: unfinished frames together have a cap") {
  Loop loop;
  TransportLimits limits;
  limits.buffered_bytes = 100'000;
  Peer a(loop, limits);
  std::vector<Socket> hoarders(3);
  for (auto& hoarder : hoarders) hoarder.connect(a.at());
  REQUIRE(loop.until([&] { return a.transport->streams() == 3; }));
  for (auto& hoarder : hoarders) REQUIRE(hoarder.say(frame(std::string(45'000, 'x')).substr(0, 40'000)));
  REQUIRE(loop.until([&] { return a.logged("too many unfinished frames"); }));
  CHECK(a.transport->streams() == 2);
  // What the closed one took is free again.
  Socket another;
  another.connect(a.at());
  REQUIRE(loop.until([&] { return a.transport->streams() == 3; }));
  const std::string slow = frame(std::string(18'000, 'y'));
  another.say(slow.substr(0, 15'000));
  another.say(slow.substr(15'000));
  CHECK(loop.until([&] { return a.packets.size() == 1; }));
  CHECK_FALSE(another.closed());
  CHECK(a.transport->streams() == 3);
}

TEST_CASE("transport: a port that is taken is named with the mend") {
  Loop loop;
  Peer a(loop);
  auto second = Transport::open(loop.get(), a.at(), nullptr, nullptr);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().text.find("cannot listen on " + a.at().str() + " (TCP): address already in use") == 0);
  CHECK(second.error().text.find("another agent") != std::string::npos);
  auto elsewhere = Transport::open(loop.get(), {"192.0.2.99", 7946}, nullptr, nullptr);
  REQUIRE_FALSE(elsewhere.has_value());
  CHECK(elsewhere.error().text.find("address of this host") != std::string::npos);
  auto nowhere = Transport::open(loop.get(), {"no-such-host.invalid", 7946}, nullptr, nullptr);
  REQUIRE_FALSE(nowhere.has_value());
  CHECK(nowhere.error().text.find("has no address") != std::string::npos);
  // UDP alone may be taken, too. (By chance somebody has that number for TCP: then another one.)
  std::string half = "(TCP)";
  while (half.find("(TCP)") != std::string::npos) {
    Socket udp(::socket(AF_INET, SOCK_DGRAM, 0));
    auto opened = Transport::open(loop.get(), udp.bind(false), nullptr, nullptr);
    REQUIRE_FALSE(opened.has_value());
    half = opened.error().text;
  }
  CHECK(half.find("(UDP)") != std::string::npos);
}

TEST_CASE("transport: a packet beyond every limit is not sent") {
  Loop loop;
  Peer a(loop), b(loop);
  a.send(b.at(), std::string(kMessageBytesMax + 2000, 'x'));
  CHECK(a.logged("too long to be sent"));
  CHECK(a.transport->streams() == 0);
}

TEST_CASE("transport: a stream that TCP connects to itself is a refusal") {
  Loop loop;
  Address gone;
  {
    Socket closed;
    gone = closed.bind(false);
  }
  SocketAddress at;
  REQUIRE(SocketAddress::parse(gone, at));
  StreamBudget budget{1000};
  std::string why;
  int error = 0;
  // Taking the very port that it connects to is what happens by chance with ports of the ephemeral range.
  StreamPtr stream = Stream::connect(loop.get(), at, &at, {1000, 1000, 5000, 5000, 5000, 5000}, budget, error);
  REQUIRE(stream);
  stream->set_events({[](std::string_view) { FAIL("heard itself"); },
                      [&](const std::string& reason) {
                        why = reason;
                        stream.reset();
                      }});
  CHECK(stream->write("hello"));
  REQUIRE(loop.until([&] { return !stream; }));
  CHECK(why == "cannot connect: connection refused");
}

TEST_CASE("transport: it goes away in the middle of everything") {
  Loop loop;
  auto a = std::make_unique<Peer>(loop);
  Peer b(loop);
  Socket deaf;
  const Address at = deaf.bind(true);
  a->send(b.at(), std::string(4'000'000, 'x'));
  a->send(at, std::string(4'000'000, 'x'));
  a->send({"localhost", 9}, "being looked up");
  b.send(a->at(), std::string(4'000'000, 'y'));
  REQUIRE(loop.until([&] { return b.transport->streams() == 2; }));
  a.reset();
  CHECK(loop.until([&] { return b.transport->streams() == 0; }));
}
