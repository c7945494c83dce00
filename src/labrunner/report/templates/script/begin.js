"use strict";
// What is of use with a script only is hidden without one. Texts are set as text, never as HTML: names come from outside.
document.documentElement.classList.add("scripted");

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Of one row or two there is nothing to sort or to look for.
const FEW_ROWS = 2;

// A number as the pages write them: 0.01, 1e-05, 1,797, 95.3% (a share of one), 0.49 ± 0.02 (its mean). All else is NaN.
function numberIn(text) {
  const written = text.split("±")[0].trim().replace("−", "-");
  if (!/^[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?(e[-+]?\d+)?\s?%?$/i.test(written)) return NaN;
  return parseFloat(written.replaceAll(",", "")) / (written.endsWith("%") ? 100 : 1);
}
