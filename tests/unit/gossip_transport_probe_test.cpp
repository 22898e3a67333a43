#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "gossip/transport_probe.h"
#include "gossip_loop.h"

using namespace ringagent;
using test::Loop;
using test::Socket;

namespace {

std::string mysql_packet(char number, const std::string& payload) {
  return std::string({static_cast<char>(payload.size()), '\0', '\0', number}) + payload;
}

// Plays a server: accepts one connection and says something.
class Server {
 public:
  explicit Server(Loop& loop) : loop_(loop), address_(listener_.bind(true)) {}
  const Address& address() const { return address_; }
  Socket& client() {
    if (!client_.valid()) {
      REQUIRE(loop_.until([this] {
        client_ = listener_.accept();
        return client_.valid();
      }));
    }
    return client_;
  }
  // The next bytes of the client.
  std::string hear() {
    std::string heard;
    REQUIRE(loop_.until([&] { return !(heard = client().hear()).empty() || client().closed(); }));
    return heard;
  }

 private:
  Loop& loop_;
  Socket listener_;
  Address address_;
  Socket client_{-1};
};

struct Answers {
  std::vector<EdgeState> states;
  PortProbe::Done callback() {
    return [this](EdgeState state) { states.push_back(state); };
  }
};

const std::string kGreeting = mysql_packet(0,
                                           "\x0A"
                                           "10.11.6-MariaDB and so on");

}  // namespace

TEST_CASE("probe: a greeting is an answer, and the probe leaves by a denied login") {
  Loop loop;
  Server server(loop);
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(server.address(), 5s, answers.callback());
  CHECK(answers.states.empty());  // never before probe() returns
  server.client().say(kGreeting);
  REQUIRE(loop.until([&] { return answers.states.size() == 1; }));
  CHECK(answers.states[0] == EdgeState::ok);
  // What it then says is a whole login packet, number 1.
  const std::string login = server.hear();
  REQUIRE(login.size() > 36);
  CHECK(static_cast<std::size_t>(login[0]) + 4 == login.size());
  CHECK(login[3] == 1);
  CHECK(login.find("ringagent_probe") != std::string::npos);
  CHECK(probe.in_flight() == 1);
  server.client().say(mysql_packet(2, "\xFF\x15\x04#28000Access denied"));
  CHECK(loop.until([&] { return server.client().closed(); }));
  CHECK(probe.in_flight() == 0);
  CHECK(answers.states.size() == 1);
}

TEST_CASE("probe: a server that wants another method of login gets no password by that one") {
  Loop loop;
  Server server(loop);
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(server.address(), 5s, answers.callback());
  server.client().say(kGreeting.substr(0, 7));
  REQUIRE(loop.until([&] { return answers.states.size() == 1; }));  // the first bytes are enough for an answer
  server.client().say(kGreeting.substr(7));
  CHECK(server.hear().size() > 36);
  server.client().say(mysql_packet(2,
                                   "\xFE"
                                   "caching_sha2_password"));
  CHECK(server.hear() == mysql_packet(3, ""));
  server.client().say(mysql_packet(4, "\xFF no"));
  CHECK(loop.until([&] { return server.client().closed(); }));
}

TEST_CASE("probe: a server that asks for ever is left") {
  Loop loop;
  Server server(loop);
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(server.address(), 60s, answers.callback());
  server.client().say(kGreeting);
  server.hear();
  CHECK(loop.until([&] {
    server.client().say(mysql_packet(2, "\xFE"));
    return server.client().closed();
  }));
}

TEST_CASE("probe: an error packet is an answer: too many connections means alive") {
  Loop loop;
  Server server(loop);
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(server.address(), 60s, answers.callback());
  server.client().say(mysql_packet(0, "\xFF\x10\x04Too many connections"));
  REQUIRE(loop.until([&] { return answers.states.size() == 1; }));
  CHECK(answers.states[0] == EdgeState::ok);
  CHECK(loop.until([&] { return server.client().closed(); }));
}

TEST_CASE("probe: a port that nobody listens on is refused") {
  Loop loop;
  Address gone;
  {
    Socket closed;
    gone = closed.bind(false);
  }
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(gone, 5s, answers.callback());
  CHECK(answers.states.empty());
  REQUIRE(loop.until([&] { return answers.states.size() == 1; }));
  CHECK(answers.states[0] == EdgeState::refused);
}

TEST_CASE("probe: accepted and never a word is silent when the time is over, not before") {
  Loop loop;
  Server server(loop);
  PortProbe probe(loop.get());
  Answers answers;
  uv_update_time(loop.get());
  const std::uint64_t start = uv_now(loop.get());
  probe.probe(server.address(), 150ms, answers.callback());
  REQUIRE(loop.until([&] { return answers.states.size() == 1; }));
  CHECK(answers.states[0] == EdgeState::silent);
  CHECK(uv_now(loop.get()) - start >= 150);
  CHECK(loop.until([&] { return server.client().closed(); }));
}

TEST_CASE("probe: accepted and closed without a word is silent, and so is a name that does not exist") {
  Loop loop;
  Socket listener;
  const Address at = listener.bind(true);
  PortProbe probe(loop.get());
  Answers answers;
  probe.probe(at, 60s, answers.callback());
  REQUIRE(loop.until([&] {
    listener.accept();  // and closed again
    return answers.states.size() == 1;
  }));
  CHECK(answers.states[0] == EdgeState::silent);
  probe.probe({"no-such-host.invalid", 3306}, 60s, answers.callback());
  probe.probe({"255.255.255.255", 3306}, 60s, answers.callback());
  REQUIRE(loop.until([&] { return answers.states.size() == 3; }));
  CHECK(answers.states[1] == EdgeState::silent);
  CHECK(answers.states[2] == EdgeState::silent);
}

TEST_CASE("probe: no more than so many at a time, and every one is answered once") {
  Loop loop;
  Address gone;
  {
    Socket closed;
    gone = closed.bind(false);
  }
  Server mute(loop);
  PortProbe probe(loop.get(), 3);
  Answers answers;
  for (int i = 0; i < 5; ++i) probe.probe(mute.address(), 100ms, answers.callback());
  for (int i = 0; i < 20; ++i) probe.probe(i % 2 == 0 ? gone : Address{"localhost", gone.port}, 5s, answers.callback());
  std::size_t most = 0;
  REQUIRE(loop.until([&] {
    most = std::max(most, probe.in_flight());
    return answers.states.size() == 25;
  }));
  CHECK(most == 3);
  CHECK(std::count(answers.states.begin(), answers.states.end(), EdgeState::refused) == 20);
}

TEST_CASE("probe: an answer may ask the next question") {
  Loop loop;
  Address gone;
  {
    Socket closed;
    gone = closed.bind(false);
  }
  PortProbe probe(loop.get(), 1);
  int answers = 0;
  std::function<void(EdgeState)> again = [&](EdgeState) {
    if (++answers < 10) probe.probe(gone, 5s, again);
  };
  probe.probe(gone, 5s, again);
  CHECK(loop.until([&] { return answers == 10; }));
}

TEST_CASE("probe: destroyed, it answers nobody and leaves nothing behind") {
  Loop loop;
  Server mute(loop), talking(loop);
  Answers answers;
  {
    PortProbe probe(loop.get(), 3);
    probe.probe(mute.address(), 5s, answers.callback());
    probe.probe(talking.address(), 5s, answers.callback());
    probe.probe({"localhost", mute.address().port}, 5s, answers.callback());
    probe.probe(mute.address(), 5s, answers.callback());  // waits for its turn
    mute.client();
    talking.client().say(kGreeting);
    REQUIRE(loop.until([&] { return answers.states.size() == 1; }));
  }
  CHECK(loop.until([&] { return mute.client().closed() && talking.client().closed(); }));
  CHECK(answers.states.size() == 1);
}
