#include <algorithm>

#include "config/duration.h"
#include "config/settings.h"
#include "fuzz.h"

// What people write: the whole input as ringagent.toml, a short one as a duration, an address or an id besides.
using namespace ringagent;
using fuzz::demand;

namespace {

constexpr std::size_t kSmallBytes = 64;
constexpr std::string_view kPassword = "sesame";

// A machine on which every file holds the password, but for those of which the path says otherwise.
SettingsHost machine() {
  return {[] { return std::string("db1"); },
          [](const std::string& path) -> Result<std::string> {
            if (path.starts_with("/lines")) return "two\nlines";
            if (path.starts_with("/none")) return fail(path + " is empty");
            return std::string(kPassword);
          }};
}

void demand_complete(const Settings& s) {
  demand(!s.cluster.empty() && !s.node.empty() && !s.state_dir.empty() && !s.socket.empty(), "names and places");
  demand(!s.gossip.advertise.empty(), "the others know where this agent is");
  demand(s.gossip.insecure == s.gossip.key_file.empty(), "a key, or none on purpose");
  demand(s.mysql.socket.empty() != s.mysql.address.empty(), "one way to the server");
  const bool witness = s.ring.role == Role::witness;
  demand(witness || (!s.mysql.advertise.empty() && !s.replication.password.empty()), "what a server needs");
  demand((s.mysql.tls == Tls::verify_ca) == !s.mysql.ca.empty(), "a certificate where it is verified");
  demand(s.failure.silence > 2 * s.replication.heartbeat_period, "one lost heartbeat is no alarm");
  demand(s.failure.silence >= 500ms && s.failure.silence <= 60s, "limits hold");
  demand(s.ring.initial.empty() || std::count(s.ring.initial.begin(), s.ring.initial.end(), s.node) == 1,
         "the node stands in the list that forms the ring");
  settings_fingerprint(s);
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

void settings_file(std::string_view text) {
  const auto settings = parse_settings(text, machine());
  if (settings) return demand_complete(*settings);
  demand(!settings.error().empty(), "a refused file has a fault");
  const auto lines = static_cast<std::size_t>(1 + std::count(text.begin(), text.end(), '\n'));
  const bool public_anyway = text.find(kPassword) != std::string_view::npos;
  for (const SettingsFault& fault : settings.error()) {
    demand(!fault.text.empty(), "a fault says what is wrong");
    demand(std::none_of(fault.text.begin(), fault.text.end(), is_control),
           "in one line that does nothing to a terminal");
    demand(fault.line <= lines, "and where in the file");
    demand(public_anyway || fault.text.find(kPassword) == std::string::npos, "without the password");
  }
}

void small_things(std::string_view text) {
  if (const auto span = parse_duration(text))
    demand(parse_duration(duration_text(*span)) == *span, "a span is written as it is read");
  if (const auto address = Address::parse(text))
    demand(Address::parse(address->str()) == *address, "an address is written as it is read");
  if (const auto id = Uuid::parse(text)) demand(Uuid::parse(id->str()) == *id, "an id is written as it is read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  settings_file(text);
  if (text.size() <= kSmallBytes) small_things(text);
  return 0;
}
