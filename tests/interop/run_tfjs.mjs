// Loads a layers-model that graft wrote and prints its scores for the rows of a .json of inputs.
// usage: node run_tfjs.mjs FOLDER INPUTS.json       with the packages of check_tfjs.py in node_modules beside it
import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {loadLayersModel} from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';

const [folder, inputsPath] = process.argv.slice(2);
const json = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf8'));
const [group] = json.weightsManifest;
const shards = group.paths.map((name) => fs.readFileSync(path.join(folder, name)));
const weights = Buffer.concat(shards);
const model = await loadLayersModel({
  load: async () => ({
    modelTopology: json.modelTopology,
    weightSpecs: group.weights,
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
    userDefinedMetadata: json.userDefinedMetadata,
  }),
});
const {shape, values} = JSON.parse(fs.readFileSync(inputsPath, 'utf8'));
const scores = model.predict(tf.tensor(values, shape));
console.log(JSON.stringify({
  largestShard: Math.max(...shards.map((shard) => shard.length)),
  metadata: model.getUserDefinedMetadata(),
  scores: scores.arraySync(),
}));
