#include "tests/sim/older.h"

#include "gossip/codec.h"
#include "gossip/codec_wire.h"

namespace ringagent::sim {
namespace {

// As format 4 is to it: what today's code cannot read either.
constexpr char kFormatToCome = 99;

// What was appended is there, and it does not know what it says.
void read(NodeRecord& record) {
  if (!record.one_writer && record.closed_epoch == 0) return;
  Writer fields(false);
  fields(record.one_writer);
  fields(record.closed_epoch);
  record.later = {2, fields.take()};
  record.one_writer = false;
  record.closed_epoch = 0;
}

struct Reading {
  bool operator()(Facts& facts) const {
    for (NodeRecord& record : facts.records) read(record);
    return true;
  }
  bool operator()(Hello& hello) const {
    read(hello.record);
    return true;
  }
  bool operator()(Canvass& canvass) const {
    for (CanvassItem& item : canvass.items) {
      if (item.evidence == Evidence::writer) item.evidence = Evidence::none;
    }
    return true;
  }
  bool operator()(Decided& decided) const {
    for (std::string& bytes : decided.configs) {
      const auto config = parse_config(bytes);
      if (config && config->one_writer) bytes.front() = kFormatToCome;
    }
    return true;
  }
  bool operator()(LeaseAsk& /*ask*/) const { return false; }
  bool operator()(LeaseGrant& /*grant*/) const { return false; }
  template <class T>
  bool operator()(T& /*known*/) const {
    return true;
  }
};

}  // namespace

std::optional<Message> read_by_older(Message message) {
  if (!std::visit(Reading{}, message.body)) return std::nullopt;
  return message;
}

Message said_by_older(Message message) {
  auto* facts = std::get_if<Facts>(&message.body);
  if (facts == nullptr) return message;
  for (NodeRecord& record : facts->records) {
    if (record.later.count == 0) continue;
    // Its own list of fields ends before the appended ones: what is unknown follows directly.
    NodeRecord known = record;
    known.later = {};
    std::string bytes = encode(known);  // begins with 0xDC and two bytes of count: an array of 16 to 65535 fields
    const std::size_t count = static_cast<std::uint8_t>(bytes[1]) * 256U + static_cast<std::uint8_t>(bytes[2]) + 2U;
    bytes[1] = static_cast<char>(count / 256);
    bytes[2] = static_cast<char>(count % 256);
    record = *decode_record(bytes + record.later.bytes);
  }
  return message;
}

NodeSettings settings_of_older(NodeSettings settings) {
  settings.agent_version = "0.0.9";
  settings.one_writer = false;
  return settings;
}

}  // namespace ringagent::sim
