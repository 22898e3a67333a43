#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/world.h"

// A protocol story: a text file that says what happens to a ring and what must follow, line by line. A reviewer can
// read it without knowing the code; `run_story` plays it in a World.
//
// The first lines set the stage (`flavor mysql`, `seed 7`, `set silence 2s`, `role db5 spare`, `joiner db5`: its agent is
// started later and has an empty [ring] initial), one line opens it:
//   ring db1 db2 db3 db4       formed, linked, at rest for some seconds (`rest 2s`: so many); time 0 is then
//   fresh db1 db2 db3 db4      empty servers, up; agents not started
//   running db1 db2 db3 db4    servers that run as a ring, in this order; agents not started
// Then what happens, at once or `at 3s ...`; `wait 2s` lets time pass:
//   kill|start|stop mysqld|agent|host X ...      stop: in good order (SIGTERM)
//   wipe state X                   its agent dies and its state directory is lost
//   save state X, restore state X  its state directory is set back to what was saved; its agent dies
//   clone db1 db5                  db5 gets db1's state directory and name: a copied machine; its agent dies
//   crash agent X                  in its next step, at some boundary between two effects
//   hang|wake mysqld X             pause agent|host X for 2s
//   cut network|agents|databases db1 db2 | db3 db4          heal network
//   mute network|agents|databases db1 | db2 db3             one way only: db1 is not heard
//   calm but db2                   the end of all faults (world.h), db2 stays as it is
//   loss 20%    twice 10%    late 300ms
//   write X 5    load every 20ms    load off
//   decide every 1s                a person has what is stranded and held replayed; decide off
//   operator X: STOP SLAVE         move host X       power off; it has another address when it starts
//   command X resume               command X maintenance node db3 state on for_ms 20000
//   command X order node db1 node db3 node db2 node db4    command X stranded node db3 action replay
//   tend X                         a person at that host goes on with what its status asks for: join, reseed, copied
//   command X key-install|key-use B   command X key-remove A [force]    gossip keys are called by a letter; all begin with A
//   keyfile X A B                  what its key_file holds from its agent's next start on
//   reload X one|all               [ring] writers in its config, read again; reload X hung_after 6s, silence 5s, role leaf
//   poison X    stall X    release X    lose tail X 4    purge X    variable X name value
//   commits X 500ms                how long MySQL at X takes to commit what its replicas have got already
// And what must be seen. `within` counts from the last thing that happened:
//   expect within 100ms epoch 2 ring db1 db2 db4 [votes db1 db2 db4] [because mysqld_down] [by db4] [generation 1]
//   expect within 100ms repoint db4 -> db2        its link has been pointed there and runs
//   expect within 5s log X words of a line        expect within 5s objection
//   expect within 2s keys X B A                   its agent uses B and reads A, too
//   expect within 2s problem X code               expect within 2s no problem X code
//   expect within 2s health X ok                  expect within 2s phase X refused | reason X leaving
//   expect within 2s read_only X | writable X     expect within 5s whole
//   expect within 5s data                         every acknowledged transaction stands once on every server that is up
//   expect nothing for 10s                        no epoch and no statement
//   expect rest for 10s                           the same, but votes may move
//   expect no epoch for 60s        expect no growth for 2s      nothing circulates: no binlog grows
//   expect statements X 0                         since the opening
// Every epoch must be expected, in order, unless the story says `allow epochs`; `allow generations`: people force one twice.
namespace ringagent::sim {

struct StoryResult {
  bool ok = false;
  bool excused = false;  // not played to its end: what came after could not be judged (World::excused)
  std::string failure;   // file:line, the line, and what was seen instead
  std::string trace;     // everything that happened, with names
  std::uint64_t steps = 0;
  Duration simulated{0};
};

StoryResult run_story(const std::string& name, std::string_view text);

}  // namespace ringagent::sim
