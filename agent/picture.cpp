#include "agent/picture.h"

#include <algorithm>
#include <utility>

#include "agent/text.h"

namespace ringagent {
namespace {

std::string arrow(LinkLook look) {
  if (look == LinkLook::runs) return "-->";
  return look == LinkLook::broken ? "-x>" : "-?>";
}

std::string painted_arrow(LinkLook look, std::size_t from, bool colour) {
  const Paint paint = look == LinkLook::runs ? Paint::green : look == LinkLook::broken ? Paint::red : Paint::yellow;
  return painted(paint, arrow(look).substr(from), colour);
}

// The ring in rows that fit; the first arrow closes the circle, so it is the link into the first node.
std::string drawn(const std::vector<Stop>& stops, std::size_t width, bool colour) {
  const std::size_t room = width - 9;                        // two spaces, ",-> " before and " --." after
  std::vector<std::pair<std::string, std::size_t>> rows(1);  // text and columns
  for (std::size_t i = 0; i < stops.size(); ++i) {
    const std::string name = cut(stops[i].name, room - 4);
    const std::size_t need = columns(name) + (rows.back().second == 0 ? 0 : 5);
    if (rows.back().second != 0 && rows.back().second + need > room) rows.emplace_back();
    auto& [text, used] = rows.back();
    if (used != 0 || i > 0) text += (used ? " " : "") + painted_arrow(stops[i].into, 0, colour) + " ";
    used += used != 0 ? 5 : i > 0 ? 4 : 0;
    text += name;
    used += columns(name);
  }
  std::size_t widest = 0;
  for (const auto& row : rows) widest = std::max(widest, row.second);
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool last = i + 1 == rows.size();
    out += i == 0 ? "  ," + painted_arrow(stops[0].into, 1, colour) + " " : "  |   ";
    out += rows[i].first;
    out += last ? " " + std::string(widest - rows[i].second + 1, '-') + "." : "";
    out += "\n";
  }
  return out + "  '" + std::string(widest + 5, '-') + "'\n";
}

}  // namespace

std::string ring_picture(const std::vector<Stop>& stops, std::size_t width, bool colour) {
  if (stops.empty()) return "  There is no ring yet.\n";
  if (stops.size() == 1) return "  " + cut(stops[0].name, width - 25) + " is alone in the ring.\n";
  std::string out = drawn(stops, width, colour);
  const auto any = [&](LinkLook look) {
    return std::any_of(stops.begin(), stops.end(), [&](const Stop& stop) { return stop.into == look; });
  };
  if (any(LinkLook::broken)) out += "  -x> a broken link\n";
  if (any(LinkLook::unknown)) out += "  -?> a link that nobody can tell of\n";
  return out;
}

}  // namespace ringagent
