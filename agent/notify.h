#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/types.h"

// Talking to the service manager: sd_notify(3) by hand. It is one datagram to the socket that $NOTIFY_SOCKET
// names; no library is needed for that. Without the variable nothing is sent.
namespace ringagent {

class ServiceManager {
 public:
  // Takes the variables' values; null where they are not set.
  ServiceManager(const char* notify_socket, const char* watchdog_usec);
  static ServiceManager from_environment();

  // "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...". Lost datagrams are the manager's problem: nothing
  // depends on them.
  void tell(std::string_view state) const;
  // How often WATCHDOG=1 is due: a third of what the manager allows; none if it does not watch.
  std::optional<Duration> watchdog_period() const { return watchdog_period_; }

 private:
  std::string socket_;
  std::optional<Duration> watchdog_period_;
};

}  // namespace ringagent
