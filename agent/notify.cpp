#include "agent/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace ringagent {

ServiceManager::ServiceManager(const char* notify_socket, const char* watchdog_usec) {
  if (notify_socket) socket_ = notify_socket;
  if (!watchdog_usec) return;
  std::int64_t us = 0;
  const std::string_view text = watchdog_usec;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), us);
  if (error == std::errc() && end == text.data() + text.size() && us > 0) watchdog_period_ = Duration(us / 3 + 1);
}

ServiceManager ServiceManager::from_environment() {
  return {std::getenv("NOTIFY_SOCKET"), std::getenv("WATCHDOG_USEC")};
}

void ServiceManager::tell(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  static_cast<void>(
      ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size));
  ::close(fd);
}

}  // namespace ringagent
