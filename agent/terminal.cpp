#include "agent/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace ringagent {

bool stdout_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

TableStyle stdout_style() {
  TableStyle style;
  if (!stdout_is_terminal()) return style;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.width = size.ws_col;
  const char* no_colour = std::getenv("NO_COLOR");
  style.colour = no_colour == nullptr || *no_colour == '\0';
  return style;
}

}  // namespace ringagent
