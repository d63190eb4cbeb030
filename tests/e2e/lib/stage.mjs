// What most suites play on: the simulator, a recorder in front of it that keeps what goes upstream,
// and a proxy in front of that.
import { startProxy, startSim } from './process.mjs';
import { Recorder } from './recorder.mjs';

/** Returns {sim, recorder, proxy}, the last started first to stop. */
export async function setStage(env = {}) {
  const stage = { sim: await startSim() };
  try {
    stage.recorder = await Recorder.start(stage.sim.url);
    stage.proxy = await startProxy(stage.recorder, env);
  } catch (error) {
    await clearStage(stage);
    throw error;
  }
  return stage;
}

/** Accepts undefined. A proxy that does not end well is said after all else has ended. */
export async function clearStage(stage) {
  try {
    await stage?.proxy?.stop();
  } finally {
    await stage?.recorder?.stop();
    await stage?.sim?.stop();
  }
}
