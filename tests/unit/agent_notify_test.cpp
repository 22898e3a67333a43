#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "agent/notify.h"
#include "temp_dir.h"

using namespace ringagent;

namespace {

// The manager's end of $NOTIFY_SOCKET.
struct Manager {
  explicit Manager(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    const bool abstract = name[0] == '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  }
  ~Manager() { ::close(fd); }
  std::string heard() const {
    char buffer[100];
    const ssize_t size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(buffer, static_cast<std::size_t>(size));
  }
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
};

}  // namespace

TEST_CASE("notify: a datagram to the socket that the environment names") {
  const TempDir dir;
  const Manager manager(dir / "notify");
  const ServiceManager service((dir / "notify").c_str(), nullptr);
  service.tell("READY=1");
  CHECK(manager.heard() == "READY=1");
  CHECK_FALSE(service.watchdog_period());
}

TEST_CASE("notify: an abstract socket") {
  const std::string name = "ringagent-notify-test-" + std::to_string(::getpid());
  const Manager manager(std::string(1, '\0') + name);
  ServiceManager(("@" + name).c_str(), nullptr).tell("STOPPING=1");
  CHECK(manager.heard() == "STOPPING=1");
}

TEST_CASE("notify: without a manager nothing happens") {
  ServiceManager(nullptr, nullptr).tell("READY=1");
  ServiceManager("", nullptr).tell("READY=1");
  ServiceManager("/nonexistent/notify", nullptr).tell("READY=1");
  ServiceManager(std::string(200, 'x').c_str(), nullptr).tell("READY=1");
}

TEST_CASE("notify: the watchdog is fed three times in its time") {
  CHECK(*ServiceManager(nullptr, "30000000").watchdog_period() <= 10s + 1us);
  for (const char* nonsense : {"", "0", "-5", "3s", "99999999999999999999"}) {
    CHECK_FALSE(ServiceManager(nullptr, nonsense).watchdog_period());
  }
}
